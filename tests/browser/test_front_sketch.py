"""The front while the chart's program is on its way, and where it never comes: a sketch in the chart's place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from dashboard_service import Service, Watch
from job_window import JobWindow
from playwright.sync_api import Page, Route, expect
from recorded_jobs import LATENCY, RecordedJob

pytestmark = pytest.mark.browser

PROGRAM = "**/plotly.min.js"
NEAR_PX = 12
PLACES = """() => {
    const middle = (element) => {
        const box = element.getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];
    };
    return Array.from(document.querySelectorAll(".sketch-front"), middle);
}"""


@pytest.fixture(scope="module")
def recorded(service: Service) -> RecordedJob:
    job = RecordedJob(service.store, name="sketched")
    for error_rate in (0.9, 0.5, 0.7, 0.3, 0.62, 0.55):
        job.complete(error_rate)
    job.finish()
    return job


@pytest.fixture
def held(page: Page) -> Iterator[list[Route]]:
    """The chart's program, asked for and not sent."""
    routes: list[Route] = []

    def hold(route: Route) -> None:  # Playwright takes no method of a list
        routes.append(route)

    page.route(PROGRAM, hold)
    yield routes
    page.unroute_all(behavior="ignoreErrors")


def front_of(service: Service, job: RecordedJob) -> dict[int, dict[str, float]]:
    members: list[dict[str, Any]] = service.client.get(f"/v1/jobs/{job.id}/front").json()["members"]
    return {trial["number"]: trial["metrics"] for trial in members}


def test_the_front_is_seen_before_the_charts_program_and_stays_where_it_is(
    page: Page, service: Service, recorded: RecordedJob, held: list[Route]
) -> None:
    front = front_of(service, recorded)
    page.goto(f"/jobs/{recorded.id}", wait_until="commit")
    points = page.locator(".sketch-front")
    expect(points).to_have_count(len(front))
    expect(page.locator(".sketch-knee")).to_have_count(1)
    expect(page.locator(".sketch-title").last).to_contain_text("ms")
    expect(page.get_by_role("img", name=f"{len(front)} trials on the front")).to_be_visible()
    expect(page.locator(".tabs")).not_to_contain_text("…")  # all trials are here, and their points
    sketched = page.evaluate(PLACES)
    held.pop().continue_()
    page.locator(".chart .main-svg").first.wait_for()
    expect(points).to_have_count(0)
    window = JobWindow(page, recorded.id)
    for (x, y), number in zip(sketched, front, strict=True):
        drawn = window.place_of("front", number)
        assert abs(drawn[0] - x) < NEAR_PX, (number, x, drawn)
        assert abs(drawn[1] - y) < NEAR_PX, (number, y, drawn)


@pytest.mark.parametrize(
    ("query", "ticks"),
    [("?log=xy", None), ("?x=parameters", "k"), ("?x=parameters&log=x", "k")],
    ids=["logarithmic", "whole numbers", "whole and logarithmic"],
)
def test_its_axes_have_ticks_in_order(
    page: Page, recorded: RecordedJob, held: list[Route], query: str, ticks: str | None
) -> None:
    page.goto(f"/jobs/{recorded.id}{query}", wait_until="commit")
    page.locator(".sketch-front").first.wait_for()
    below = page.locator("text.sketch-below:not(.sketch-title)")
    beside = page.locator("text.sketch-beside")
    for texts in (below.all_text_contents(), list(reversed(beside.all_text_contents()))):
        assert len(texts) >= 2
        values = [float(text.rstrip("kMG")) for text in texts]
        assert values in (sorted(values), sorted(values, reverse=True))
    assert all(text.endswith(ticks or "") for text in below.all_text_contents())


def test_what_has_no_place_on_a_logarithmic_axis_is_not_seen_and_makes_no_page_longer(
    page: Page, service: Service, held: list[Route]
) -> None:
    job = RecordedJob(service.store, name="without a logarithm")
    for error_rate in (0.5, 0.25, 0.0, -0.1):
        job.complete(error_rate)
    page.goto(f"/jobs/{job.id}?log=y", wait_until="commit")
    expect(page.locator(".tabs")).to_contain_text("All trials (4)")
    picture = page.locator(".front-sketch").bounding_box()
    assert picture is not None
    expect(page.locator(".sketch-front")).to_have_count(len(front_of(service, job)))
    assert page.evaluate("document.scrollingElement.scrollHeight") < 4_000
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 1280


def test_it_follows_a_running_job(page: Page, service: Service, held: list[Route]) -> None:
    job = RecordedJob(service.store, name="sketched live")
    job.complete(0.8)
    page.goto(f"/jobs/{job.id}", wait_until="commit")
    expect(page.locator(".sketch-front")).to_have_count(1)
    for error_rate in (0.7, 0.6, 0.5):
        job.complete(error_rate)
    expect(page.locator(".sketch-front")).to_have_count(len(front_of(service, job)))


def test_without_the_charts_program_it_stays_and_says_so(
    page: Page, service: Service, recorded: RecordedJob, watch: Watch
) -> None:
    watch.expected.append("net::ERR_FAILED")
    page.route(PROGRAM, lambda route: route.abort())
    page.goto(f"/jobs/{recorded.id}")
    expect(page.locator("#notices")).to_contain_text("The chart’s program could not be loaded")
    expect(page.locator(".sketch-front")).to_have_count(len(front_of(service, recorded)))
    page.get_by_label("X axis").select_option("parameters")
    expect(page.locator(".sketch-title").last).to_contain_text("Parameters")
    page.get_by_role("button", name="Save PNG").click()
    expect(page.locator("#notices")).to_contain_text("The chart’s program could not be loaded")
    page.get_by_label("X axis").select_option(LATENCY)
    expect(page.locator(".sketch-title").last).to_contain_text("Latency")
