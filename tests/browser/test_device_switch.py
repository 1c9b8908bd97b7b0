"""The same trials ranked for another device: the chart, the table and the details say what the server says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dashboard_service import Service, Watch, serving
from job_window import JobWindow
from playwright.sync_api import Locator, Page, expect
from recorded_jobs import DEVICE, LATENCY, RecordedJob, add_device

from nas.workload import Workload

pytestmark = pytest.mark.browser

OTHER = "slow-board"
THERE = f"latency_ms@{OTHER}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that knows three devices: the job's, one with a table for it, one whose table is of another length."""
    with serving(tmp_path_factory.mktemp("devices")) as running:
        add_device(running.store)
        add_device(running.store, name=OTHER, constant_ns=30_000)
        add_device(running.store, name="another-length", workload=Workload(input_length=32))
        yield running


@pytest.fixture(scope="module")
def recorded(service: Service) -> RecordedJob:
    job = RecordedJob(service.store, name="for two devices")
    for error_rate in (0.9, 0.5, 0.7, 0.3, 0.62, 0.55, 0.41, 0.2, 0.66, 0.35, 0.8, 0.45):
        job.complete(error_rate)
    job.begin()
    job.skip_over_limit()
    return job


@pytest.fixture
def window(page: Page, recorded: RecordedJob) -> JobWindow:
    return JobWindow(page, recorded.id)


def device_of(page: Page) -> Locator:
    return page.get_by_label("Device", exact=True)


def front_of(service: Service, job: RecordedJob, cost: str) -> dict[int, dict[str, Any]]:
    query = {"objectives": f"error_rate,{cost}"}
    members = service.client.get(f"/v1/jobs/{job.id}/front", params=query).json()["members"]
    return {member["number"]: member["metrics"] for member in members}


def test_every_device_of_the_server_is_offered_or_says_why_not(window: JobWindow) -> None:
    window.open()
    options = device_of(window.page).locator("option")
    expect(options).to_have_count(3)
    assert [(o.get_attribute("value"), o.is_disabled()) for o in options.all()] == [
        (DEVICE, False),
        ("another-length", True),
        (OTHER, False),
    ]
    expect(options.nth(1)).to_contain_text("another-length: it has no latency table at")
    expect(device_of(window.page)).to_have_value(DEVICE)


def test_another_device_ranks_the_same_trials_anew(window: JobWindow, service: Service, recorded: RecordedJob) -> None:
    window.open()
    device_of(window.page).select_option(OTHER)
    front = front_of(service, recorded, THERE)
    window.wait_until_drawn("front", set(front))
    assert {p["number"]: (p["x"], p["y"]) for p in window.drawn("front")} == {
        number: (metrics[THERE], metrics["error_rate"]) for number, metrics in front.items()
    }
    window.page.wait_for_function(
        "() => document.querySelector('.chart').data.find((t) => t.name === 'dominated').x.length > 0"
    )
    columns = service.client.get(f"/v1/jobs/{recorded.id}/trials/columns", params={"metrics": THERE}).json()
    for point in window.drawn("dominated") + window.drawn("infeasible"):
        assert point["x"] == columns["metrics"][THERE][columns["numbers"].index(point["number"])]
    expect(window.page.locator(".front-note")).to_contain_text("predicted from version 1 of its table")
    assert window.axes()["x"]["title"].startswith(f"Latency on {OTHER}, ms")
    picks = service.client.get(f"/v1/jobs/{recorded.id}/front/picks", params={"cost": THERE}).json()["picks"]
    expect(window.page.locator('.deadline [data-word="pick"]')).to_contain_text(f"Trial {picks[-1]['trial']}")
    assert set(window.rows()) == set(front)
    window.page.reload()
    window.wait_until_drawn("front", set(front))
    expect(device_of(window.page)).to_have_value(OTHER)
    device_of(window.page).select_option(DEVICE)
    window.wait_until_drawn("front", set(front_of(service, recorded, LATENCY)))
    assert "?" not in window.page.url


def test_the_details_and_the_configuration_promise_the_latency_there_too(
    window: JobWindow, service: Service, recorded: RecordedJob
) -> None:
    window.open(f"?x={THERE}&y=error_rate")
    number, metrics = next(iter(front_of(service, recorded, THERE).items()))
    window.open_row(number)
    assert float(window.detail(THERE)) == pytest.approx(metrics[THERE], rel=1e-5)
    assert float(window.detail(LATENCY)) == pytest.approx(metrics[LATENCY], rel=1e-5)
    with window.page.expect_download() as download:
        window.details.get_by_role("link", name="Config, JSON").click()
    document = json.loads(Path(download.value.path()).read_text())
    assert document["latency"][OTHER]["latency_ms"] == metrics[THERE]
    assert list(document["latency"]) == [DEVICE, OTHER]


def test_the_front_of_another_device_lies_beside_the_jobs_own(
    window: JobWindow, service: Service, recorded: RecordedJob
) -> None:
    window.open()
    window.page.get_by_label("Compare with").select_option(OTHER)
    beside = front_of(service, recorded, THERE)
    window.page.wait_for_function("() => document.querySelector('.chart').data.some((t) => t.name === 'beside')")
    assert {p["number"]: (p["x"], p["y"]) for p in window.drawn("beside")} == {
        number: (metrics[THERE], metrics["error_rate"]) for number, metrics in beside.items()
    }
    assert {p["number"] for p in window.drawn("front")} == set(front_of(service, recorded, LATENCY))
    low, high = window.axes()["x"]["range"]
    assert all(low < metrics[THERE] < high for metrics in beside.values())
    expect(window.page.locator(".chart-key")).to_contain_text(f"front on {OTHER} ({len(beside)})")
    assert window.page.url.endswith(f"?beside={OTHER}")
    window.page.get_by_label("Compare with").select_option("nothing")
    window.page.wait_for_function("() => !document.querySelector('.chart').data.some((t) => t.name === 'beside')")


def test_a_device_that_nobody_knows_says_so_and_leads_back(window: JobWindow, watch: Watch) -> None:
    watch.expected.append("status of 422")
    window.open("?x=latency_ms@no-board&y=error_rate")
    note = window.page.locator(".front-note")
    expect(note).to_contain_text("There is no front of these two axes")
    expect(window.page.locator("#notices")).to_contain_text("no-board")
    window.page.get_by_role("button", name="Back to the job’s objectives").click()
    expect(note).to_be_hidden()
    expect(window.page.locator("#notices")).to_have_text("")
    window.page.wait_for_function(
        "() => document.querySelector('.chart').data.find((t) => t.name === 'dominated').x.length > 0"
    )


def test_trials_that_arrive_are_predicted_too(page: Page, service: Service) -> None:
    job = RecordedJob(service.store, name="live, elsewhere")
    job.complete(0.8)
    window = JobWindow(page, job.id).open(f"?x={THERE}&y=error_rate")
    window.wait_until_drawn("front", {0})
    for error_rate in (0.95, 0.6, 0.99):
        job.complete(error_rate)
    front = front_of(service, job, THERE)
    window.wait_until_drawn("front", set(front))
    window.wait_until_drawn("dominated", set(range(4)) - set(front))
