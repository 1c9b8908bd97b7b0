"""A job's page says where candidates and scores are from."""

from __future__ import annotations

from typing import Any

import pytest
from dashboard_service import Service
from job_window import JobWindow
from playwright.sync_api import Page, expect
from recorded_jobs import RecordedJob

pytestmark = pytest.mark.browser


def test_a_score_that_was_known_says_where_it_is_from(page: Page, service: Service) -> None:
    earlier = RecordedJob(service.store, name="earlier")
    source = earlier.complete(0.4)
    job = RecordedJob(service.store, name="later")
    known = job.complete(0.4, recalled={"job": earlier.id, "trial": source, "seed": 3})
    window = JobWindow(page, job.id).open()
    expect(page.locator('[data-figure="recalled"]')).to_have_text("1")
    window.open_row(known)
    note = window.details.locator("[data-recalled]")
    expect(note).to_contain_text(f"its score is that of trial {source} of {earlier.id}, under seed 3.")
    note.get_by_role("link", name=earlier.id).click()
    page.wait_for_url(f"**/jobs/{earlier.id}")
    expect(page.locator('[data-figure="recalled"]')).to_have_count(0)
    window.open_row(source)
    expect(window.details).not_to_contain_text("Not trained again")


@pytest.mark.parametrize(
    ("why", "text"),
    [
        ({"by": "start"}, "The job starts from it."),
        ({"by": "spread"}, "Proposed to have candidates of every cost."),
        ({"by": "neighbour"}, "since the sampler repeated itself"),
        (
            {"by": "model", "expected": {"error_rate": {"mean": 0.41234, "deviation": 0.0203}}},
            "Proposed by the model, which expected Error rate 0.412 ± 0.02.",
        ),
    ],
)
def test_a_candidate_says_why_it_was_proposed(page: Page, service: Service, why: dict[str, Any], text: str) -> None:
    job = RecordedJob(service.store, name="why")
    job.why = why
    number = job.complete(0.4)
    window = JobWindow(page, job.id).open()
    window.open_row(number)
    expect(window.details.locator("[data-why]")).to_contain_text(text)
