"""What is singled out on an axis, by a box or a lasso is the same set of trials in chart, lines and table."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path
from typing import Any

import pytest
from dashboard_service import Service
from job_window import JobWindow
from playwright.sync_api import Locator, Page, expect
from recorded_jobs import LATENCY, RecordedJob

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def recorded(service: Service) -> RecordedJob:
    job = RecordedJob(service.store, name="brushed")
    rng = random.Random(5)
    for _ in range(30):
        job.complete(round(0.1 + 0.8 * rng.random(), 3))
    job.skip_over_limit()
    job.fail("it broke")
    job.finish()
    return job


@pytest.fixture
def window(page: Page, recorded: RecordedJob) -> JobWindow:
    return JobWindow(page, recorded.id)


@pytest.fixture
def trials(service: Service, recorded: RecordedJob) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.client.get(f"/v1/jobs/{recorded.id}/trials?limit=1000").json()["trials"]
    return found


def axis(page: Page, name: str) -> Locator:
    page.locator(".parallel").scroll_into_view_if_needed()
    page.get_by_role("textbox", name="Layers, from").wait_for()  # the choices have arrived
    found = page.locator(f'.parallel-axis[aria-label="{name}"]')
    found.scroll_into_view_if_needed()
    return found


def within(trials: list[dict[str, Any]], name: str, low: float, high: float) -> set[int]:
    return {t["number"] for t in trials if name in t["metrics"] and low <= t["metrics"][name] <= high}


def expect_selected(window: JobWindow, chosen: set[int], trials: list[dict[str, Any]]) -> None:
    """The bar, the table and the chart tell of these trials."""
    expect(window.page.locator(".selection-count")).to_have_text(f"{len(chosen)} of {len(trials)} trials")
    expect(window.table.locator("tr[data-trial]")).to_have_count(len(chosen))
    assert set(window.rows()) == chosen
    front = {point["number"] for point in window.drawn("front")}
    window.wait_until_drawn("dominated", {n for n in chosen if trials[n]["state"] == "complete"} - front)
    dimmed = {t["number"] for t in trials if t["state"] == "complete"} - chosen - front
    assert {point["number"] for point in window.drawn("dimmed")} >= dimmed


def test_a_range_in_the_address_singles_out_the_same_trials_everywhere(
    window: JobWindow, trials: list[dict[str, Any]]
) -> None:
    chosen = within(trials, "error_rate", 0.2, 0.6)
    assert 2 < len(chosen) < len(trials) - 2
    window.open("?rows=all&brush=error_rate~0.2~0.6")
    expect_selected(window, chosen, trials)
    expect(window.page.locator(".selection-ranges li")).to_have_text(["Error rate 0.2 to 0.6×"])
    window.page.reload()
    expect_selected(window, chosen, trials)
    window.page.get_by_role("button", name="Clear the selection").click()
    expect(window.page.locator(".selection-bar")).to_be_hidden()
    expect(window.table.locator("tr[data-trial]")).to_have_count(len(trials))
    assert "brush" not in window.page.url


def test_dragging_along_an_axis_draws_a_range_and_a_click_takes_it_away(
    window: JobWindow, trials: list[dict[str, Any]]
) -> None:
    window.open("?rows=all")
    track = axis(window.page, "Error rate").locator(".parallel-track")
    box = track.bounding_box()
    assert box is not None
    x = box["x"] + box["width"] / 2
    window.page.mouse.move(x, box["y"] + 0.3 * box["height"])
    window.page.mouse.down()
    window.page.mouse.move(x, box["y"] + 0.5 * box["height"], steps=3)
    expect(window.page.locator(".selection-bar")).to_be_visible()  # before the button is let go
    window.page.mouse.move(x, box["y"] + 0.8 * box["height"], steps=3)
    window.page.mouse.up()
    values = [t["metrics"]["error_rate"] for t in trials if "error_rate" in t["metrics"]]
    low, span = min(values), max(values) - min(values)
    ends = window.page.url.partition("brush=error_rate~")[2].partition("&")[0]
    told = [float(end) for end in ends.split("~")]
    assert told == pytest.approx([low + 0.2 * span, low + 0.7 * span], abs=0.02 * span)
    expect_selected(window, within(trials, "error_rate", *told), trials)
    window.page.mouse.click(x, box["y"] + 0.5 * box["height"])
    expect(window.page.locator(".selection-bar")).to_be_hidden()


def test_the_keyboard_narrows_numbers_and_choices(window: JobWindow, trials: list[dict[str, Any]]) -> None:
    window.open("?rows=all")
    page = window.page
    axis(page, "Layers")
    page.get_by_role("textbox", name="Layers, from").fill("2")
    page.get_by_role("textbox", name="Layers, from").press("Enter")
    deep = {t["number"] for t in trials if len(t["architecture"]["encoder"]["layers"]) == 2}
    expect_selected(window, deep, trials)
    for end in ("from", "to"):
        page.get_by_role("combobox", name=f"Attention, {end}").select_option("softmax")
    kinds = {t["number"]: {layer["attention"] for layer in t["architecture"]["encoder"]["layers"]} for t in trials}
    expect_selected(window, {number for number in deep if kinds[number] == {"softmax"}}, trials)
    expect(page.locator(".selection-ranges li")).to_have_text(["Layers 2×", "Attention softmax×"])
    page.get_by_role("button", name="Drop: Layers 2").click()
    expect_selected(window, {number for number in kinds if kinds[number] == {"softmax"}}, trials)
    page.reload()
    expect_selected(window, {number for number in kinds if kinds[number] == {"softmax"}}, trials)


def drawn_in_chart(window: JobWindow, corners: list[tuple[float, float]]) -> None:
    """Drag through these places of the plot, as shares of its size."""
    box = window.page.locator(".chart .nsewdrag").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    window.page.mouse.move(*places[0])
    window.page.mouse.down()
    for place in places[1:]:
        window.page.mouse.move(*place, steps=4)
    window.page.mouse.up()


def test_a_box_in_the_chart_is_a_range_on_both_axes(window: JobWindow, trials: list[dict[str, Any]]) -> None:
    window.open("?rows=all")
    window.page.get_by_label("Dragging in the chart").select_option("selects a box")
    drawn_in_chart(window, [(0.3, 0.2), (0.85, 0.8)])
    expect(window.page.locator(".selection-ranges li")).to_have_count(2)
    query = window.page.url.partition("brush=")[2].partition("&")[0]
    ranges = {name: (float(low), float(high)) for name, low, high in (part.split("~") for part in query.split(";"))}
    assert set(ranges) == {LATENCY, "error_rate"}
    chosen = within(trials, LATENCY, *ranges[LATENCY]) & within(trials, "error_rate", *ranges["error_rate"])
    assert chosen
    expect_selected(window, chosen, trials)


def test_a_lasso_takes_what_lies_within_it(window: JobWindow, trials: list[dict[str, Any]]) -> None:
    window.open("?rows=all&drag=lasso")
    axes = window.axes()

    def at(number: int) -> tuple[float, float]:
        metrics = trials[number]["metrics"]
        (left, right), (bottom, top) = axes["x"]["range"], axes["y"]["range"]
        x = (metrics[LATENCY] - left) / (right - left)
        return x, 1 - (metrics["error_rate"] - bottom) / (top - bottom)

    places = {t["number"]: at(t["number"]) for t in trials if "error_rate" in t["metrics"]}

    def beyond(place: tuple[float, float], left: float) -> float:
        """How far a place is over the slanting edge of a triangle, which begins left and on top."""
        return (place[0] - left) / (0.95 - left) + (place[1] - 0.05) / 0.9 - 1

    # A triangle whose edges are near to no point
    left = next(
        left
        for left in (0.1 + 0.01 * i for i in range(40))
        if all(abs(beyond(place, left)) > 0.015 and abs(place[0] - left) > 0.01 for place in places.values())
    )
    corners = [(left, 0.05), (0.95, 0.05), (left, 0.95), (left, 0.05)]
    chosen = {n for n, place in places.items() if place[0] > left and place[1] > 0.05 and beyond(place, left) < 0}
    assert chosen
    drawn_in_chart(window, corners)
    expect_selected(window, chosen, trials)
    expect(window.page.locator(".selection-ranges li")).to_have_text(["within the lasso×"])
    assert "brush" not in window.page.url


def test_the_rows_are_saved_with_every_digit(
    window: JobWindow, trials: list[dict[str, Any]], service: Service, recorded: RecordedJob
) -> None:
    window.open("?rows=all&brush=error_rate~0.2~0.6&sort=-error_rate")
    axis(window.page, "Layers")
    chosen = within(trials, "error_rate", 0.2, 0.6)
    expect_selected(window, chosen, trials)
    with window.page.expect_download() as download:
        window.page.get_by_role("button", name="Save CSV").click()
    assert download.value.suggested_filename == f"trials-{recorded.id}.csv"
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert [int(row["trial"]) for row in rows] == window.rows()
    front = {t["number"] for t in service.client.get(f"/v1/jobs/{recorded.id}/front").json()["members"]}
    for row in rows:
        trial = trials[int(row["trial"])]
        for name in ("error_rate", LATENCY, "parameters", "macs"):
            assert float(row[name]) == trial["metrics"][name]
        assert int(row["layers"]) == len(trial["architecture"]["encoder"]["layers"])
        assert row["on_front"] == str(trial["number"] in front).lower()


def test_the_chart_is_saved_as_png_and_svg(window: JobWindow) -> None:
    window.open("?deadline=0.05")
    expect(window.page.locator(".deadline-pick")).to_be_visible()
    for form, begin in (("PNG", b"\x89PNG"), ("SVG", b"<svg")):
        with window.page.expect_download() as download:
            window.page.get_by_role("button", name=f"Save {form}").click()
        content = Path(download.value.path()).read_bytes()
        assert content.startswith(begin)
        assert len(content) > 5_000
    assert b"deadline" in content


def test_what_is_no_range_in_the_address_is_left_out(window: JobWindow, trials: list[dict[str, Any]]) -> None:
    window.open("?rows=all&brush=error_rate~a~b;~1~2;macs~9~1;parameters~0~1e9")
    expect_selected(window, within(trials, "parameters", 0, 1e9), trials)
    expect(window.page.locator(".selection-ranges li")).to_have_count(1)
