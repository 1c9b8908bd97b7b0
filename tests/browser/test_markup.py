"""Markup in what others wrote, or put into an address that a person is to open, is shown as text and does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from dashboard_service import Service, Watch, serving
from job_window import JobWindow
from playwright.sync_api import Page, expect
from recorded_jobs import RecordedJob

from nas.store.keys import Role
from nas.store.records import JobState

pytestmark = pytest.mark.browser

MARKUP = ["<img src=x onerror=alert(1)>", "<script>alert(1)</script>", '"><svg onload=alert(1)>']


@pytest.fixture(autouse=True)
def _nothing_runs(page: Page) -> Iterator[None]:
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
    yield
    of_markup = "[onerror], [onload], body img, body script:not([src])"
    assert page.locator(of_markup).count() == 0


@pytest.mark.parametrize("text", MARKUP)
def test_in_the_error_of_a_trial_and_the_reason_of_an_end_it_is_text(page: Page, service: Service, text: str) -> None:
    job = RecordedJob(service.store, name=text)
    job.complete(0.5)
    failed = job.fail(f"ValueError: {text}")
    job.finish(JobState.FAILED, f"the evaluator said {text}")
    page.goto("/")
    expect(page.get_by_role("link", name=text, exact=True).first).to_be_visible()
    window = JobWindow(page, job.id).open("?rows=all")
    expect(page.get_by_role("heading", level=1)).to_have_text(text)
    expect(page.get_by_role("main")).to_contain_text(f"the evaluator said {text}")
    window.open_row(failed)
    expect(window.details).to_contain_text(f"ValueError: {text}")


@pytest.mark.parametrize("text", MARKUP)
def test_in_the_name_of_a_key_it_is_text(page: Page, watch: Watch, tmp_path: Path, text: str) -> None:
    watch.expected.append("401")
    with serving(tmp_path, require_keys=True, admin_key="0123456789abcdef" * 2) as guarded:
        _, secret = guarded.store.add_key(text, Role.READ, "the test")
        page.goto(guarded.url)
        page.get_by_label("Your key").fill(secret)
        page.keyboard.press("Enter")
        expect(page.get_by_role("banner")).to_contain_text(text)


@pytest.mark.parametrize("text", MARKUP)
def test_in_an_address_it_is_text(page: Page, service: Service, watch: Watch, text: str) -> None:
    watch.expected += ["404", "422"]
    page.goto(f"/jobs/{quote(text.replace('/', ''), safe='')}")
    expect(page.get_by_role("heading", name="No such job")).to_be_visible()
    job = RecordedJob(service.store, name="opened by an address")
    job.complete(0.5)
    hostile = quote(text, safe="")
    names = ("x", "y", "log", "feasible", "trial", "rows", "sort")
    window = JobWindow(page, job.id).open("?" + "&".join(f"{name}={hostile}" for name in names))
    expect(window.page.get_by_role("heading", level=1)).to_have_text("opened by an address")
