"""A job's page where an evaluator of its own gives the qualities: labels, directions, front."""

from __future__ import annotations

import pytest
from dashboard_service import Service
from job_window import JobWindow
from playwright.sync_api import Page, expect
from recorded_jobs import LATENCY, RecordedJob

pytestmark = pytest.mark.browser

TASK = {
    "dataset": "language-identification",
    "metric": "skill_at_play",
    "training": {"steps": 3},
    "evaluator": {
        "function": "own_scoring:evaluate",
        "metrics": {
            "skill_at_play": {"direction": "maximize", "worst": 0.0, "best": 1.0},
            "constructor": {"direction": "minimize", "worst": 9.0, "best": 0.0},
        },
    },
}


def test_metrics_of_a_jobs_own_are_named_ranked_and_labelled_as_others_are(page: Page, service: Service) -> None:
    job = RecordedJob(service.store, name="own", task=TASK, objectives=["skill_at_play", LATENCY])
    job.set_reference({"skill_at_play": 0.0, LATENCY: 1.0}, {"skill_at_play": 1.0, LATENCY: 0.0})
    numbers = {
        job.complete_with({"skill_at_play": skill, "constructor": 9 * (1 - skill)}) for skill in (0.2, 0.9, 0.4, 0.6)
    }
    window = JobWindow(page, job.id).open()
    front = [t["number"] for t in service.client.get(f"/v1/jobs/{job.id}/front").json()["members"]]
    best = max(numbers, key=lambda n: service.store.trial(job.id, n).metrics["skill_at_play"])
    assert best in front
    window.wait_until_drawn("front", set(front))
    expect(page.locator(".chart .annotation-text").first).to_have_text("Skill at play  (proxy, higher is better)")
    expect(page.get_by_role("main")).to_contain_text("highest Skill at play")
    window.open_row(best)
    assert window.detail("skill_at_play") == "0.9"
    shown = window.details.locator("dl.figures > div")
    assert [text.split("\n")[0] for text in shown.all_inner_texts()[:2]] == ["Constructor", "Skill at play"]
    for name in ("skill_at_play", "constructor"):
        expect(window.details.locator(f'[data-metric="{name}"] .tag-proxy')).to_have_text("proxy")
