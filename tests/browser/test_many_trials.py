"""A job with more trials than the chart has elements for: drawn, pointed at, chosen and brushed all the same."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import cycle, islice
from typing import Any

import pytest
from dashboard_service import Service
from job_window import JobWindow
from playwright.sync_api import Page, expect
from recorded_jobs import LATENCY, RecordedJob
from sqlalchemy import insert

from nas.store.tables import trials as rows_of_trials

pytestmark = pytest.mark.browser

COUNT = 4_000
INKED = """() => {
    const canvas = document.querySelector(".many-points");
    if (!canvas?.width) return 0;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 3; i < data.length; i += 4) count += data[i] > 0;
    return count;
}"""
HAVE_OPACITIES = """(expected) => {
    const points = Array.from(document.querySelectorAll(".chart .scatterlayer .tracemembers .points > path"));
    return `${points.map((point) => Number(point.style.opacity))}` === `${expected}`;
}"""
COUNT_PLOTS = """() => {
    window.plots = 0;
    document.querySelector(".chart").on("plotly_afterplot", () => (window.plots += 1));
}"""
LEFT_END = "document.querySelector('.chart')._fullLayout.xaxis.range[0]"


@pytest.fixture(scope="module")
def recorded(service: Service) -> RecordedJob:
    """A job whose trials are written at once: one by one they would take a minute."""
    job = RecordedJob(service.store, name="many")
    rng = random.Random(8)
    some = list(islice(job._architectures, 60))
    costs = [job.context.costs(architecture) for architecture in some]
    now = datetime.now(UTC)
    written: list[dict[str, Any]] = []
    for number, place in zip(range(COUNT), cycle(range(len(some))), strict=False):
        error = round(0.2 + 0.7 * rng.random(), 4)
        metrics = {name: value * (1 + 0.3 * rng.random()) for name, value in costs[place].items()}
        written.append(
            {
                "job_id": job.id,
                "number": number,
                "state": "complete",
                "skip_reason": None,
                "same_as": None,
                "architecture": some[place].to_dict(),
                "architecture_id": some[place].id,
                "metrics": metrics | {"parameters": costs[place]["parameters"], "error_rate": error},
                "violations": {},
                "sampler": {},
                "training": {"label": "proxy", "steps": 3, "history": [[1, error]]},
                "error": None,
                "weights_sha256": None,
                "started_at": now,
                "finished_at": now,
                "duration_s": 0.1,
            }
        )
    with service.store._database.write() as connection:
        connection.execute(insert(rows_of_trials), written)
    job._number = COUNT
    job.complete(0.19)
    return job


@pytest.fixture
def window(page: Page, recorded: RecordedJob) -> JobWindow:
    return JobWindow(page, recorded.id)


def inked(page: Page) -> int:
    """How many pixels of the canvas are not empty."""
    count: int = page.evaluate(INKED)
    return count


def wait_for_points(page: Page) -> None:
    expect(page.get_by_role("button", name=f"All trials ({COUNT + 1})")).to_be_visible()
    expect(page.locator(".front-sketch")).to_have_count(0)


def test_the_front_stays_in_the_chart_and_the_rest_is_on_the_canvas(
    window: JobWindow, service: Service, recorded: RecordedJob
) -> None:
    window.open()
    front = {t["number"] for t in service.client.get(f"/v1/jobs/{recorded.id}/front").json()["members"]}
    window.wait_until_drawn("front", front)
    wait_for_points(window.page)
    window.wait_until_drawn("dominated", set())
    assert inked(window.page) > 3_000
    expect(window.page.locator(".chart-key")).to_contain_text(f"dominated ({COUNT + 1 - len(front)})")


def test_a_point_of_the_canvas_is_chosen_by_a_click(window: JobWindow, service: Service, recorded: RecordedJob) -> None:
    window.open()
    wait_for_points(window.page)
    path = f"/v1/jobs/{recorded.id}/trials/columns"
    columns = service.client.get(path, params={"metrics": f"{LATENCY},error_rate"}).json()
    front = {t["number"] for t in service.client.get(f"/v1/jobs/{recorded.id}/front").json()["members"]}
    places = window.page.evaluate(
        """([xs, ys]) => {
            const chart = document.querySelector(".chart"), { xaxis, yaxis } = chart._fullLayout;
            const box = chart.getBoundingClientRect();
            return xs.map((x, i) => [
                box.left + xaxis._offset + xaxis.d2p(x), box.top + yaxis._offset + yaxis.d2p(ys[i])
            ]);
        }""",
        [columns["metrics"][LATENCY], columns["metrics"]["error_rate"]],
    )

    def alone(place: list[float]) -> float:
        near = sorted((place[0] - x) ** 2 + (place[1] - y) ** 2 for x, y in places)
        return float(near[1])

    number = max((n for n in columns["numbers"] if n not in front), key=lambda n: alone(places[n]))
    window.page.mouse.move(*places[number])
    expect(window.page.locator(".hover-card")).to_contain_text(f"Trial {number}")
    window.page.mouse.click(*places[number])
    expect(window.details.get_by_role("heading", level=2)).to_have_text(f"Trial {number}")
    error = columns["metrics"]["error_rate"][number]
    assert float(window.detail("error_rate")) == pytest.approx(error)


def test_many_are_brushed_sorted_and_looked_at_page_by_page(
    window: JobWindow, service: Service, recorded: RecordedJob
) -> None:
    window.open("?rows=all&sort=-error_rate&brush=error_rate~0.3~0.5")
    path = f"/v1/jobs/{recorded.id}/trials/columns"
    columns = service.client.get(path, params={"metrics": "error_rate"}).json()
    pairs = list(zip(columns["numbers"], columns["metrics"]["error_rate"], strict=True))
    chosen = sorted((pair for pair in pairs if 0.3 <= pair[1] <= 0.5), key=lambda pair: (-pair[1], pair[0]))
    expect(window.page.locator(".selection-count")).to_have_text(f"{len(chosen):,} of {COUNT + 1:,} trials")
    assert window.rows() == [number for number, _ in chosen[:150]]
    window.page.get_by_role("button", name="more of").click()
    expect(window.table.locator("tr[data-trial]")).to_have_count(300)
    assert window.rows() == [number for number, _ in chosen[:300]]
    expect(window.row(chosen[299][0]).locator(".layers-cell")).to_be_visible()  # its record has been asked for


def test_a_brush_dims_members_of_the_front_where_they_are_and_zoom_does_not_undo_it(
    window: JobWindow, service: Service, recorded: RecordedJob
) -> None:
    members = service.client.get(f"/v1/jobs/{recorded.id}/front").json()["members"]
    errors = [trial["metrics"]["error_rate"] for trial in members]
    limit = sorted(errors)[len(errors) // 2]
    assert min(errors) < limit < max(errors)
    dimmed = [0.3 if error > limit else 1 for error in errors]
    page = window.open().page
    wait_for_points(page)
    page.wait_for_function(HAVE_OPACITIES, arg=[1] * len(errors))
    whole = window.axes()
    page.evaluate(COUNT_PLOTS)
    page.locator(".parallel").scroll_into_view_if_needed()
    page.get_by_role("textbox", name="Error rate, to").fill(str(limit))
    page.get_by_role("textbox", name="Error rate, to").press("Enter")
    page.wait_for_function(HAVE_OPACITIES, arg=dimmed)
    assert page.evaluate("window.plots") == 0  # nothing else has been drawn anew, which would take longer
    page.locator(".chart").scroll_into_view_if_needed()
    box = page.locator(".chart .nsewdrag").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.95 * box["height"], steps=4)
    page.mouse.up()
    page.wait_for_function(f"(left) => {LEFT_END} > left", arg=whole["x"]["range"][0])
    page.wait_for_function(HAVE_OPACITIES, arg=dimmed)
    page.get_by_role("button", name="Reset zoom").click()
    page.wait_for_function(f"(left) => {LEFT_END} === left", arg=whole["x"]["range"][0])
    assert window.axes() == whole
    page.get_by_role("button", name="Clear the selection").click()
    page.wait_for_function(HAVE_OPACITIES, arg=[1] * len(errors))


def test_an_update_of_a_large_job_is_small(window: JobWindow, recorded: RecordedJob) -> None:
    session = window.page.context.new_cdp_session(window.page)
    session.send("Network.enable")
    window.open()
    wait_for_points(window.page)
    window.page.wait_for_timeout(1_500)  # what is asked for at first has come
    received: list[float] = []
    session.on("Network.dataReceived", lambda event: received.append(event["encodedDataLength"]))
    recorded.complete(0.95)
    expect(window.page.get_by_role("button", name=f"All trials ({COUNT + 2})")).to_be_visible()
    window.page.wait_for_timeout(1_500)
    assert 0 < sum(received) < 20_000
