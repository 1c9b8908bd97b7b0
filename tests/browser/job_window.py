"""A job's page as the tests use it."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect


class JobWindow:
    """One job's page in a window."""

    def __init__(self, page: Page, job_id: str) -> None:
        self.page, self.job_id = page, job_id
        self.details = page.get_by_role("complementary", name="Details of a trial")
        self.table = page.get_by_role("region", name="Table of trials")

    def open(self, query: str = "") -> JobWindow:
        self.page.goto(f"/jobs/{self.job_id}{query}")
        self.page.locator(".chart .main-svg").first.wait_for()
        return self

    def figure(self, name: str) -> Locator:
        """A figure of the head, such as `front_size`."""
        return self.page.locator(f'[data-figure="{name}"]')

    def row(self, number: int) -> Locator:
        return self.table.locator(f'tr[data-trial="{number}"]')

    def rows(self) -> list[int]:
        return [int(row.get_attribute("data-trial") or -1) for row in self.table.locator("tr[data-trial]").all()]

    def open_row(self, number: int) -> None:
        self.page.get_by_role("button", name=f"Details of trial {number}", exact=True).click()
        expect(self.details.get_by_role("heading", level=2)).to_have_text(f"Trial {number}")

    def detail(self, metric: str) -> str:
        """The exact value of a metric in the details, without its unit."""
        text = self.details.locator(f'[data-metric="{metric}"] .value').inner_text()
        return re.sub(r" [A-Za-z]+$", "", text)

    def drawn(self, trace: str) -> list[dict[str, Any]]:
        """The points of a trace of the chart, as plotly holds them: number, x, y."""
        read = """(name) => {
            const trace = document.querySelector(".chart").data.find((t) => t.name === name);
            return Array.from(trace.x, (x, i) => ({number: trace.customdata?.[i], x, y: trace.y[i]}));
        }"""
        points: list[dict[str, Any]] = self.page.evaluate(read, trace)
        return points

    def wait_until_drawn(self, trace: str, numbers: set[int]) -> None:
        self.page.wait_for_function(
            """([name, numbers]) => {
                const trace = document.querySelector(".chart")?.data?.find((t) => t.name === name);
                return trace && JSON.stringify([...trace.customdata].sort((a, b) => a - b)) === JSON.stringify(numbers);
            }""",
            arg=[trace, sorted(numbers)],
        )

    def axes(self) -> dict[str, Any]:
        """Type, range and title of both axes."""
        read = """() => {
            const {xaxis, yaxis} = document.querySelector(".chart")._fullLayout;
            const axis = (a) => ({type: a.type, range: Array.from(a.range), title: a.title.text});
            return {x: axis(xaxis), y: axis(yaxis)};
        }"""
        axes: dict[str, Any] = self.page.evaluate(read)
        return axes

    def place_of(self, trace: str, number: int) -> tuple[float, float]:
        """Where in the window a trial's point is drawn, once the chart is laid out."""
        read = """([name, number]) => {
            const chart = document.querySelector(".chart");
            const trace = chart?.data?.find((t) => t.name === name);
            if (!trace || !chart._fullLayout) return null;
            const {xaxis, yaxis} = chart._fullLayout;
            const i = Array.from(trace.customdata).indexOf(number);
            const box = chart.getBoundingClientRect();
            const place = [
                box.left + xaxis._offset + xaxis.d2p(trace.x[i]), box.top + yaxis._offset + yaxis.d2p(trace.y[i])
            ];
            return place.every(Number.isFinite) ? place : null;
        }"""
        x, y = self.page.wait_for_function(read, arg=[trace, number]).json_value()
        return x, y
