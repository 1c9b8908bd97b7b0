"""Devices and their latency tables in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from dashboard_service import Service, Watch, serving
from playwright.sync_api import Page, expect
from recorded_jobs import DEVICE, add_device, device_and_table

from nas.jobs import inventory
from nas.workload import Workload

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with a device that has two tables, and one that has none."""
    with serving(tmp_path_factory.mktemp("bench")) as running:
        add_device(running.store)
        device, table = device_and_table("smoke", Workload(input_length=32))
        inventory.add_table(running.store, DEVICE, table.to_dict())
        bare = device.model_dump(mode="json") | {"name": "bare", "hardware": HOSTILE, "address": "ssh://pi@bare"}
        inventory.add_device(running.store, bare)
        yield running


def report_of(bench: Service, version: int) -> dict[str, Any]:
    answer: dict[str, Any] = bench.client.get(f"/v1/devices/{DEVICE}/latency-tables/{version}/report").json()
    return answer


def open_report(page: Page, bench: Service, version: int) -> None:
    page.goto(f"{bench.url}/devices/{DEVICE}?table={version}")
    page.locator(".accuracy-chart .main-svg").first.wait_for()


def test_devices_are_listed_with_the_numbers_of_the_api(page: Page, bench: Service) -> None:
    page.goto(bench.url)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Devices").click()
    known = {device["name"]: device for device in bench.client.get("/v1/devices").json()["devices"]}
    row = page.locator(f'tr[data-device="{DEVICE}"]')
    newest = known[DEVICE]["tables"][-1]
    expect(row).to_contain_text("onnxruntime 1.32.0 · fp32 · 1 thread · clock unmanaged")
    expect(row.locator(".col-tables")).to_have_text("2 (smoke)")
    expect(row.locator(".col-error")).to_have_text(f"{newest['errors']['mean_absolute_percent']:.1f} %")
    expect(page.locator('tr[data-device="bare"]')).to_contain_text(HOSTILE)
    expect(page.locator('tr[data-device="bare"]')).to_contain_text("none yet")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(DEVICE)
    assert page.locator("[onerror], main img").count() == 0


def test_the_chart_holds_each_model_predicted_and_measured(page: Page, bench: Service) -> None:
    open_report(page, bench, 1)
    report = report_of(bench, 1)
    drawn = page.evaluate(
        """() => document.querySelector(".accuracy-chart").data.slice(1).flatMap((trace) =>
            Array.from(trace.x, (x, i) => ({
                id: trace.customdata[i], x, y: trace.y[i], inside: trace.name === "inside",
                upper: trace.y[i] + trace.error_y.array[i], lower: trace.y[i] - trace.error_y.arrayminus[i],
            })))"""
    )
    found = {point["id"]: point for point in drawn}
    assert len(drawn) == len(report["models"]) == 8
    for model in report["models"]:
        point = found[model["architecture_id"]]
        assert (point["x"], point["y"], point["inside"]) == (
            model["measured_ms"],
            model["predicted_ms"],
            model["inside"],
        )
        assert (point["lower"], point["upper"]) == pytest.approx((model["lower_ms"], model["upper_ms"]))
    diagonal = page.evaluate(
        "() => { const t = document.querySelector('.accuracy-chart').data[0]; return [t.x, t.y]; }"
    )
    assert diagonal[0] == diagonal[1]
    assert diagonal[0][0] < min(m["lower_ms"] for m in report["models"])


def test_the_figures_are_those_of_the_report(page: Page, bench: Service) -> None:
    open_report(page, bench, 1)
    report = report_of(bench, 1)
    errors = report["table"]["errors"]

    def figure(name: str) -> str:
        return page.locator(f'[data-figure="{name}"]').inner_text()

    assert figure("mean_absolute_percent") == f"{errors['mean_absolute_percent']:.2f} %"
    assert figure("interval_percent") == f"±{errors['interval_percent']:.1f} %"
    assert float(figure("bias_percent").replace("−", "-").rstrip(" %")) == round(errors["bias_percent"], 2)
    within = sum(model["inside"] for model in report["models"])
    assert figure("inside").startswith(f"{within} of 8")
    page.get_by_text("The 8 models in numbers").click()
    for model in report["models"]:
        row = page.locator(f'tr[data-architecture="{model["architecture_id"]}"]')
        shown = float(re.findall(r"[\d.]+", row.locator("td").first.inner_text())[0])
        assert shown == pytest.approx(model["measured_ms"], rel=1e-3)


def test_coverage_says_what_each_space_lacks_and_the_command_can_be_copied(page: Page, bench: Service) -> None:
    open_report(page, bench, 1)
    for one in report_of(bench, 1)["coverage"]:
        line = page.locator(f'[data-space="{one["search_space"]}"]')
        if one["missing"]:
            expect(line).to_contain_text(f"lacks {one['missing']} of {one['calls']}")
            line.get_by_text("How to measure it").click()
            line.get_by_role("button", name="Copy the command").click()
            assert page.evaluate("navigator.clipboard.readText()") == f"{one['measure']} --url {bench.url}"
        else:
            expect(line).to_contain_text(f"all {one['calls']} calls of sub-blocks measured")


def test_the_chosen_table_is_in_the_address_and_back_returns(page: Page, bench: Service) -> None:
    page.goto(f"{bench.url}/devices/{DEVICE}")
    head = page.locator(".table-report h2")
    expect(head).to_have_text("Table 2: smoke, batch 1, 32 tokens in")
    page.get_by_role("link", name="Table 1").click()
    expect(head).to_have_text("Table 1: smoke, batch 1, 16 tokens in")
    assert page.url.endswith("?table=1")
    expect(page.get_by_role("link", name="Table 1")).to_be_focused()
    page.reload()
    expect(head).to_have_text("Table 1: smoke, batch 1, 16 tokens in")
    page.go_back()
    expect(head).to_have_text("Table 2: smoke, batch 1, 32 tokens in")


def test_a_device_leads_to_a_job_on_it(page: Page, bench: Service) -> None:
    page.goto(f"{bench.url}/devices/{DEVICE}")
    page.get_by_role("link", name="New job on this device").click()
    expect(page.get_by_role("group", name="Devices").get_by_role("checkbox", name=re.compile(DEVICE))).to_be_checked(
        timeout=30_000
    )


def test_without_tables_or_devices_the_page_says_what_to_do(page: Page, bench: Service, empty_service: Service) -> None:
    page.goto(f"{bench.url}/devices/bare")
    expect(page.get_by_role("main")).to_contain_text("nas device profile bare --address ssh://pi@bare")
    page.goto(f"{empty_service.url}/devices")
    expect(page.get_by_role("heading", name="No devices yet")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text(
        f"nas device profile this-machine --space text-encoder --url {empty_service.url}"
    )


def test_an_unknown_device_is_said_and_markup_is_text(page: Page, bench: Service, watch: Watch) -> None:
    watch.expected.append("404")
    page.goto(f"{bench.url}/devices/{quote(HOSTILE.replace('/', ''), safe='')}")
    expect(page.get_by_role("heading", name="No such device")).to_be_visible()
    assert page.locator("[onerror], main img").count() == 0


def test_a_table_that_jobs_no_longer_take_says_why(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        add_device(running.store)
        document = running.store.latency_table(DEVICE, 1).document
        assert document is not None
        summary = running.client.get(f"/v1/devices/{DEVICE}").json()["tables"][0]
        light = {name: summary[name] for name in ("entries", "invalid_entries", "whole_models", "errors")}
        running.store.add_latency_table(DEVICE, document | {"protocol": 2}, light | {"protocol": 2})
        page.goto(f"{running.url}/devices/{DEVICE}")
        expect(page.locator(".report-warnings")).to_contain_text("measured by protocol 2")
        expect(page.locator(".accuracy-chart")).to_have_count(0)
