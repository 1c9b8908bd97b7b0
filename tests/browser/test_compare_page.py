"""Jobs and architectures side by side in a real browser."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from dashboard_service import Service, Watch
from job_window import JobWindow
from playwright.sync_api import Page, expect
from recorded_jobs import LATENCY, RecordedJob, add_device

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"
BOX = ({"error_rate": 1.0, LATENCY: 0.1}, {"error_rate": 0.0, LATENCY: 0.01})
LONGER = {"dataset": "language-identification", "metric": "error_rate", "training": {"steps": 9}}


def recorded(service: Service, errors: tuple[float, ...], skipped: int = 0, **changes: Any) -> RecordedJob:
    """A job whose members are other architectures than those of a job that skipped fewer."""
    job = RecordedJob(service.store, **changes)
    job.set_reference(*BOX)
    job._architectures = itertools.islice(job._architectures, skipped, None)
    job.complete_front(errors)
    return job


@pytest.fixture(scope="module")
def pair(service: Service) -> tuple[RecordedJob, RecordedJob]:
    first = recorded(service, (0.9, 0.6, 0.45, 0.4), name="one to compare")
    second = recorded(service, (0.7, 0.5, 0.3), 9, name="another to compare", seed=3)
    return first, second


def compared(service: Service, query: str) -> dict[str, Any]:
    answer = service.client.get(f"/v1/compare/{query}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def open_jobs(page: Page, *jobs: RecordedJob, query: str = "") -> None:
    page.goto(f"/compare?jobs={','.join(job.id for job in jobs)}{query}")
    page.locator(".compare-chart .main-svg").first.wait_for()


def drawn(page: Page, trace: str) -> list[dict[str, Any]]:
    read = """(name) => {
        const trace = document.querySelector(".compare-chart").data.find((t) => t.name === name);
        return Array.from(trace.x, (x, i) => ({
            id: trace.customdata?.[i], x, y: trace.y[i], symbol: trace.marker.symbol[i]
        }));
    }"""
    points: list[dict[str, Any]] = page.evaluate(read, trace)
    return points


def test_jobs_that_are_chosen_in_the_list_are_compared(
    page: Page, service: Service, pair: tuple[RecordedJob, RecordedJob]
) -> None:
    page.goto("/")
    page.get_by_label("Choose one to compare to compare").check()
    expect(page.get_by_role("main")).to_contain_text("Choose another job to compare it with")
    page.get_by_label("Choose another to compare to compare").check()
    page.wait_for_timeout(2_500)  # the list is looked at again meanwhile, and the choice stays
    page.get_by_role("link", name="Compare 2 jobs").click()
    page.locator(".compare-chart .main-svg").first.wait_for()
    told = compared(service, f"jobs?job={pair[0].id}&job={pair[1].id}")
    assert told["comparable"]
    total = sum(job["on_joint_front"] for job in told["jobs"])
    for job in told["jobs"]:
        points = drawn(page, job["id"])
        assert {(p["id"], p["x"], p["y"]) for p in points} == {
            (f"{job['id']}:{m['number']}", m["metrics"][LATENCY], m["metrics"]["error_rate"]) for m in job["front"]
        }
        joint = {f"{job['id']}:{m['number']}" for m in job["front"] if m["on_joint_front"]}
        assert {p["id"] for p in points if not p["symbol"].endswith("-open")} == joint
        row = page.locator(f'tr[data-job="{job["id"]}"]')
        expect(row.locator(".volume")).to_have_text(f"{job['hypervolume']:.3f}")
        expect(row).to_contain_text(f"{job['on_joint_front']} of {total}")
    expect(page.locator('tr[data-field="Seed"]')).to_contain_text("3")
    expect(page.get_by_role("note")).to_have_count(0)


def test_other_axes_are_asked_of_the_server_and_stand_in_the_address(
    page: Page, service: Service, pair: tuple[RecordedJob, RecordedJob]
) -> None:
    open_jobs(page, *pair)
    page.get_by_label("X axis").select_option("parameters")
    expect(page.get_by_label("X axis")).to_have_value("parameters")
    expect(page).to_have_url(re.compile(r"objectives=error_rate,parameters$"))
    told = compared(service, f"jobs?job={pair[0].id}&job={pair[1].id}&objectives=error_rate,parameters")
    page.wait_for_function(
        "() => document.querySelector('.compare-chart')._fullLayout.xaxis.title.text.includes('Param')"
    )
    assert {p["x"] for p in drawn(page, pair[0].id)} == {m["metrics"]["parameters"] for m in told["jobs"][0]["front"]}
    page.reload()
    expect(page.get_by_label("X axis")).to_have_value("parameters")
    page.go_back()
    expect(page.get_by_label("X axis")).to_have_value(LATENCY)


def test_what_keeps_numbers_from_being_compared_is_said_and_nobody_is_on_a_joint_front(
    page: Page, service: Service, pair: tuple[RecordedJob, RecordedJob]
) -> None:
    longer = recorded(service, (0.5, 0.2), 20, name=HOSTILE, task=LONGER)
    open_jobs(page, pair[0], longer)
    expect(page.get_by_role("note")).to_have_text(
        "The scores of these jobs are not comparable: they differ in training."
    )
    told = compared(service, f"jobs?job={pair[0].id}&job={longer.id}")
    row = page.locator('tr[data-field="Training"]')
    for value in next(d["values"] for d in told["differences"] if d["field"] == "Training"):
        expect(row).to_contain_text(value)
    assert not any(p["symbol"].endswith("-open") for job in told["jobs"] for p in drawn(page, job["id"]))
    expect(page.locator(f'tr[data-job="{longer.id}"]')).to_contain_text(HOSTILE)
    page.goto(f"/compare?trials={pair[0].id}:1,{longer.id}:1")
    expect(page.locator('tr[data-metric="error_rate"] .ratio')).to_have_text("not comparable")
    expect(page.locator('tr[data-metric="parameters"] .ratio')).to_contain_text("×")
    assert page.locator("[onerror], main img").count() == 0


def test_two_members_lead_to_their_architectures(
    page: Page, service: Service, pair: tuple[RecordedJob, RecordedJob]
) -> None:
    open_jobs(page, *pair)
    page.get_by_text(re.compile(r"All \d+ members of the fronts")).click()
    ids = [f"{pair[0].id}:1", f"{pair[1].id}:2"]
    for name in ids:
        page.locator(f'tr[data-member="{name}"] input').check()
    assert len(drawn_picked(page)) == 2
    page.get_by_role("link", name="Compare architectures").click()
    expect(page.locator(".compare-card")).to_have_count(2)
    told = compared(service, f"trials?trial={ids[0]}&trial={ids[1]}")
    for figure in told["metrics"]:
        row = page.locator(f'tr[data-metric="{figure["name"]}"]')
        shown = float(row.locator(".ratio").inner_text().replace("×", "").replace(",", ""))
        assert shown == pytest.approx(figure["ratio"], rel=6e-3)
        cells = row.locator("td")
        for index in (0, 1):
            is_better = "is-better" in (cells.nth(index).get_attribute("class") or "")
            assert is_better == (figure["better"] == index)
    rows = page.locator(".changes tbody tr")
    expect(rows).to_have_count(len(told["changes"]))
    for index, change in enumerate(told["changes"]):
        expect(rows.nth(index)).to_contain_text(change["choice"])
        for value in change["values"]:
            expect(rows.nth(index)).to_contain_text(value or "–")


def drawn_picked(page: Page) -> list[float]:
    read = "() => Array.from(document.querySelector('.compare-chart').data.find((t) => t.name === 'picked').x)"
    points: list[float] = page.evaluate(read)
    return points


def test_a_point_of_the_chart_is_chosen_with_the_pointer(page: Page, pair: tuple[RecordedJob, RecordedJob]) -> None:
    open_jobs(page, *pair)
    page.locator(".compare-chart").hover()
    place = page.evaluate(
        """(name) => {
            const chart = document.querySelector(".compare-chart");
            const trace = chart.data.find((t) => t.name === name);
            const { xaxis, yaxis } = chart._fullLayout;
            const box = chart.getBoundingClientRect();
            return [box.left + xaxis._offset + xaxis.d2p(trace.x[0]), box.top + yaxis._offset + yaxis.d2p(trace.y[0])];
        }""",
        pair[1].id,
    )
    page.mouse.move(*place)
    expect(page.locator(".compare-chart .hoverlayer")).to_contain_text("another to compare, trial")
    page.mouse.click(*place)
    expect(page.locator(".compare-picked")).to_contain_text("another to compare, trial")


def test_a_trials_details_lead_to_the_choice_of_another(page: Page, pair: tuple[RecordedJob, RecordedJob]) -> None:
    window = JobWindow(page, pair[0].id).open("?trial=1")
    window.details.get_by_role("link", name="Compare with…").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("Compare one to compare, trial 1 with")
    trials = page.get_by_label("Trial of its front")
    assert "Trial 1:" not in trials.inner_text()
    page.get_by_label("Job", exact=True).select_option(pair[1].id)
    expect(trials.locator("option")).to_have_count(3)
    trials.select_option("2")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page).to_have_url(re.compile(f"trials={pair[0].id}:1,{pair[1].id}:2$"))
    expect(page.locator(".compare-card").first).to_contain_text("one to compare")


def test_without_names_the_page_says_how_and_a_wrong_one_is_said(page: Page, watch: Watch) -> None:
    watch.expected += ["404", "422"]
    page.goto("/compare")
    expect(page.get_by_role("heading", name="Nothing to compare yet")).to_be_visible()
    page.goto("/compare?jobs=j-none,j-nobody")
    expect(page.get_by_role("alert")).to_contain_text("j-none")
    page.goto(f"/compare?trials={HOSTILE},x")
    expect(page.get_by_role("alert")).to_contain_text("JOB:NUMBER")
    assert page.locator("[onerror], main img").count() == 0


def test_on_a_phone_the_titles_of_the_axes_are_whole(page: Page, service: Service) -> None:
    name = "a-phone-with-a-name"
    add_device(service.store, name=name)
    changes = {"devices": [name], "objectives": ["error_rate", f"latency_ms@{name}"], "constraints": []}
    jobs = [RecordedJob(service.store, name=f"on a phone, {seed}", seed=seed, **changes) for seed in (11, 12)]
    for job in jobs:
        job.complete(0.5)
        job.complete(0.4)
    page.set_viewport_size({"width": 390, "height": 844})
    open_jobs(page, *jobs)
    chart = page.locator(".compare-chart")
    for title in ("Latency on a-phone-with-a-name, ms", "Error rate"):
        text = chart.locator("text").filter(has_text=title)
        expect(text).to_contain_text("lower is better)")
        inner, outer = text.bounding_box(), chart.bounding_box()
        assert inner is not None
        assert outer is not None
        assert outer["x"] <= inner["x"]
        assert inner["x"] + inner["width"] <= outer["x"] + outer["width"]
