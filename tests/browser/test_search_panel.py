"""How the search came along is asked for when somebody opens it, and drawn as the server tells it."""

from __future__ import annotations

import re

import pytest
from dashboard_service import Service
from job_window import JobWindow
from playwright.sync_api import Page, expect
from recorded_jobs import LATENCY, RecordedJob

pytestmark = pytest.mark.browser

BOX = ({"error_rate": 1.0, LATENCY: 1.0}, {"error_rate": 0.0, LATENCY: 0.0})


def test_growth_and_importance_are_shown_when_the_panel_is_opened(page: Page, service: Service) -> None:
    job = RecordedJob(service.store, name="searched")
    job.set_reference(*BOX)
    for place in range(14):
        job.complete(0.9 - 0.04 * place)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    JobWindow(page, job.id).open()
    panel = page.locator(".search-panel")
    assert not any("/importance" in url or "/hypervolume" in url for url in asked)
    panel.locator("summary").focus()
    page.keyboard.press("Enter")
    growth = service.client.get(f"/v1/jobs/{job.id}/hypervolume").json()
    last = growth["steps"][-1]
    label = f"Hypervolume, {last['hypervolume']:.3f} after {growth['evaluated']} evaluations"
    expect(panel.get_by_role("img", name=label)).to_be_visible()
    expect(panel).to_contain_text(f"trial {last['trial']} was the last to raise it, after {last['evaluations']}.")
    path = panel.locator(".growth-curve .curve-line").get_attribute("d") or ""
    assert len(re.findall("V", path)) == len(growth["steps"])
    importance = service.client.get(f"/v1/jobs/{job.id}/importance").json()
    tables = panel.locator("table.importance")
    expect(tables).to_have_count(len(importance["objectives"]))
    for table, told in zip(tables.all(), importance["objectives"], strict=True):
        shares = [float(meter.get_attribute("value") or "nan") for meter in table.locator("meter").all()]
        assert shares == [choice["share"] for choice in told["choices"]]
    better = job.complete(0.01)
    expect(panel).to_contain_text(f"trial {better} was the last to raise it")
