"""The deadline over the chart: what it names is what the server says, wherever the slider stands."""

from __future__ import annotations

import random
from typing import Any

import pytest
from dashboard_service import Service
from job_window import JobWindow
from playwright.sync_api import Locator, Page, expect
from recorded_jobs import DEVICE, RecordedJob

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def recorded(service: Service) -> RecordedJob:
    """A job that has ended, with a front of several members."""
    job = RecordedJob(service.store, name="deadlines")
    job.complete_front([0.9, 0.7, 0.5, 0.4, 0.2])
    rng = random.Random(4)
    for _ in range(10):
        job.complete(round(0.9 + 0.1 * rng.random(), 3))
    job.finish()
    return job


@pytest.fixture
def picks(service: Service, recorded: RecordedJob) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.client.get(f"/v1/jobs/{recorded.id}/front/picks").json()["picks"]
    assert len(found) >= 4
    return found


@pytest.fixture
def window(page: Page, recorded: RecordedJob) -> JobWindow:
    return JobWindow(page, recorded.id)


def word(page: Page, name: str) -> Locator:
    return page.locator(f'.deadline [data-word="{name}"]')


def slider(page: Page) -> Locator:
    return page.get_by_role("slider", name="Deadline")


def within(picks: list[dict[str, Any]], limit: float) -> dict[str, Any] | None:
    return next((pick for pick in reversed(picks) if pick["cost"] <= limit), None)


def test_without_a_deadline_the_pick_is_the_best_of_all(window: JobWindow, picks: list[dict[str, Any]]) -> None:
    window.open()
    expect(word(window.page, "pick")).to_contain_text(f"Trial {picks[-1]['trial']}")
    expect(word(window.page, "next")).to_contain_text("no dearer trial is better")
    expect(window.page.locator(".deadline-shade")).to_be_hidden()
    expect(window.page.get_by_role("textbox", name="Deadline")).to_have_value("")


def test_a_typed_deadline_names_pick_knee_and_what_the_next_ms_buys(
    window: JobWindow, service: Service, recorded: RecordedJob, picks: list[dict[str, Any]]
) -> None:
    window.open()
    page = window.page
    limit = round((picks[1]["cost"] + picks[2]["cost"]) / 2, 6)
    field = page.get_by_role("textbox", name="Deadline")
    field.fill(str(limit))
    field.press("Enter")
    pick = picks[1]
    expect(word(page, "pick")).to_contain_text(f"Trial {pick['trial']}")
    expect(word(page, "pick")).to_contain_text(f"{pick['quality']:.4f} at {pick['cost']:.4g} ms")
    knee = service.client.get(f"/v1/jobs/{recorded.id}/front").json()["knee"]
    expect(word(page, "knee")).to_contain_text(f"Trial {knee}")
    step = pick["next"]
    expect(word(page, "next")).to_contain_text(f"{step['gain']:.3g} less error rate: trial {step['trial']}")
    expect(page).to_have_url(f"{service.url}/jobs/{recorded.id}?deadline={limit:g}")
    page.reload()
    expect(word(page, "pick")).to_contain_text(f"Trial {pick['trial']}")
    expect(field).to_have_value(f"{limit:g}")
    page.get_by_role("button", name="Take the pick").click()
    expect(window.details.get_by_role("heading", level=2)).to_have_text(f"Trial {pick['trial']}")


def test_beyond_the_deadline_the_chart_is_shaded_and_the_thumb_stands_on_its_edge(
    window: JobWindow, picks: list[dict[str, Any]]
) -> None:
    limit = (picks[1]["cost"] + picks[2]["cost"]) / 2
    window.open(f"?deadline={limit}")
    window.wait_until_drawn("front", {p["trial"] for p in picks})
    page = window.page
    expect(word(page, "pick")).to_contain_text("Trial")  # which the server tells apart from the front
    edge = page.evaluate(
        """(limit) => {
            const chart = document.querySelector(".chart"), axis = chart._fullLayout.xaxis;
            return chart.getBoundingClientRect().left + axis._offset + axis.d2p(limit);
        }""",
        limit,
    )
    shade = page.locator(".deadline-shade").bounding_box()
    bar = slider(page).bounding_box()
    assert shade is not None
    assert bar is not None
    assert shade["x"] == pytest.approx(edge, abs=1)
    values = [float(slider(page).get_attribute(name) or "nan") for name in ("min", "max")]
    thumb = bar["x"] + 8 + (bar["width"] - 16) * (limit - values[0]) / (values[1] - values[0])
    assert thumb == pytest.approx(edge, abs=2)
    ring = page.locator(".deadline-pick").bounding_box()
    assert ring is not None
    place = window.place_of("front", picks[1]["trial"])
    assert (ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2) == pytest.approx(place, abs=1)


def test_dragging_asks_the_server_nothing_and_names_every_pick_on_the_way(
    window: JobWindow, picks: list[dict[str, Any]]
) -> None:
    window.open()
    page = window.page
    expect(word(page, "pick")).to_contain_text("Trial")
    window.wait_until_drawn("front", {p["trial"] for p in picks})
    bar = slider(page).bounding_box()
    assert bar is not None
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    middle = bar["y"] + bar["height"] / 2
    page.mouse.move(bar["x"] + bar["width"] - 9, middle)
    page.mouse.down()
    seen = []
    for share in (0.9, 0.75, 0.6, 0.4, 0.25, 0.1, 0.02):
        page.mouse.move(bar["x"] + share * bar["width"], middle)
        limit = float(page.get_by_role("textbox", name="Deadline").input_value())
        best = within(picks, limit)
        expect(word(page, "pick")).to_contain_text(f"Trial {best['trial']}" if best else "No trial is within")
        seen.append(best and best["trial"])
    page.mouse.up()
    assert len(set(seen)) >= 3
    assert asked == []
    assert f"deadline={limit:g}" in page.url


def test_the_keyboard_moves_it_and_is_told_the_pick(window: JobWindow, picks: list[dict[str, Any]]) -> None:
    limit = (picks[-2]["cost"] + picks[-1]["cost"]) / 2
    window.open(f"?deadline={limit}")
    page = window.page
    expect(word(page, "pick")).to_contain_text(f"Trial {picks[-2]['trial']}")
    slider(page).focus()
    before = float(page.get_by_role("textbox", name="Deadline").input_value())
    page.keyboard.press("ArrowLeft")
    after = float(page.get_by_role("textbox", name="Deadline").input_value())
    assert after < before
    best = within(picks, after)
    assert best is not None
    expect(slider(page)).to_have_attribute(
        "aria-valuetext", f"{after:g} ms: the pick is trial {best['trial']}, error rate {best['quality']:.4f}"
    )
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#announcer")).to_have_text(
        f"the pick is trial {picks[-1]['trial']}, error rate {picks[-1]['quality']:.4f}", timeout=20_000
    )


def test_the_next_step_is_one_click_away(window: JobWindow, picks: list[dict[str, Any]]) -> None:
    window.open(f"?deadline={picks[0]['cost'] * 0.9}")
    page = window.page
    expect(word(page, "pick")).to_contain_text("No trial is within")
    for pick in picks:
        word(page, "next").get_by_role("button").click()
        expect(word(page, "pick")).to_contain_text(f"Trial {pick['trial']}")


def test_a_pick_that_may_be_too_late_says_so(window: JobWindow, picks: list[dict[str, Any]]) -> None:
    limit = (picks[-1]["cost"] + picks[-1]["upper"]) / 2
    window.open(f"?deadline={limit}")
    expect(word(window.page, "pick")).to_contain_text(f"may take {picks[-1]['upper']:.4g} ms")
    window.open(f"?deadline={picks[-1]['upper'] * 1.1}")
    expect(word(window.page, "pick")).to_contain_text(f"Trial {picks[-1]['trial']}")
    expect(word(window.page, "pick")).not_to_contain_text("may take")


def test_any_cost_has_a_limit_and_two_qualities_have_none(
    window: JobWindow, service: Service, recorded: RecordedJob
) -> None:
    window.open("?x=parameters&y=error_rate&deadline=1e9")
    page = window.page
    path = f"/v1/jobs/{recorded.id}/front/picks?cost=parameters&quality=error_rate"
    found = service.client.get(path).json()["picks"]
    expect(page.get_by_role("slider", name="Limit")).to_be_visible()
    expect(word(page, "pick")).to_contain_text(f"Trial {found[-1]['trial']}")
    page.get_by_label("X axis").select_option(label="Cross-entropy")
    expect(page.locator(".deadline")).to_be_hidden()
    page.get_by_label("X axis").select_option(label=f"Latency on {DEVICE}")
    expect(slider(page)).to_be_visible()
    page.get_by_label("X axis").select_option(label="Error rate")  # swaps the two: what is paid stands on y
    expect(slider(page)).to_be_visible()
    slider(page).focus()
    for _ in range(30):
        page.keyboard.press("ArrowLeft")
    shade = page.locator(".deadline-shade").bounding_box()
    plot = page.locator(".chart .nsewdrag").bounding_box()
    assert shade is not None
    assert plot is not None
    assert shade["width"] == pytest.approx(plot["width"], abs=3)
    assert 0 < shade["height"] < plot["height"]


def test_a_better_trial_that_arrives_becomes_the_pick(page: Page, service: Service) -> None:
    job = RecordedJob(service.store, name="deadline, live")
    job.complete(0.8)
    window = JobWindow(page, job.id).open()
    expect(word(page, "pick")).to_contain_text("Trial 0")
    better = job.complete(0.1)
    expect(word(page, "pick")).to_contain_text(f"Trial {better}")
    expect(window.page.locator("#announcer")).to_contain_text(f"trial {better}", timeout=20_000)


@pytest.mark.parametrize("typed", ["soon", "-3", "0", "1e999"])
def test_what_is_no_deadline_is_marked_and_changes_nothing(
    window: JobWindow, picks: list[dict[str, Any]], typed: str
) -> None:
    window.open()
    field = window.page.get_by_role("textbox", name="Deadline")
    expect(word(window.page, "pick")).to_contain_text(f"Trial {picks[-1]['trial']}")
    field.fill(typed)
    field.press("Enter")
    expect(field).to_have_attribute("aria-invalid", "true")
    window.page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")  # the page is drawn anew, as with every event
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value(typed)
    assert "deadline" not in window.page.url
    field.fill("")
    field.press("Enter")
    expect(field).to_have_attribute("aria-invalid", "false")
