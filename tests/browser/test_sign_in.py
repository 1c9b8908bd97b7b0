"""Signing in with a key, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dashboard_service import Service, Watch, serving
from playwright.sync_api import Page, expect
from recorded_jobs import RecordedJob, add_device

from nas.store.keys import Role

pytestmark = pytest.mark.browser


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Service]:
    """A server that asks for keys, with a job in it."""
    with serving(tmp_path, require_keys=True, admin_key="0123456789abcdef" * 2) as running:
        add_device(running.store)
        RecordedJob.queued(running.store, name="behind the door")
        yield running


def test_a_person_signs_in_with_a_key_and_out_again(page: Page, guarded: Service, watch: Watch) -> None:
    watch.expected.append("401")
    _, secret = guarded.store.add_key("anna", Role.SUBMIT, "the test")
    page.goto(guarded.url)
    dialog = page.get_by_role("dialog", name="This service asks for a key")
    expect(dialog.get_by_label("Your key")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    expect(page.get_by_text("behind the door")).to_have_count(0)
    dialog.get_by_label("Your key").fill("pf_wrong")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("not one of this service's")
    dialog.get_by_label("Your key").fill(f" {secret}\n")
    dialog.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="behind the door")).to_be_visible()
    expect(page.get_by_role("banner")).to_contain_text("anna")
    assert secret not in page.content()
    assert page.evaluate("document.cookie") == ""  # out of reach of scripts
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("dialog", name="This service asks for a key")).to_be_visible()


def test_a_key_that_may_only_look_is_told_so_where_it_acts(page: Page, guarded: Service, watch: Watch) -> None:
    watch.expected += ["401", "403"]
    _, secret = guarded.store.add_key("reader", Role.READ, "the test")
    page.goto(guarded.url)
    page.get_by_label("Your key").fill(secret)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="behind the door").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("alert")).to_contain_text("has the role read")
    expect(page.get_by_role("status").filter(has_text="live")).to_be_visible()  # the stream came in by the cookie


def test_a_key_that_is_revoked_meanwhile_is_asked_for_again(page: Page, guarded: Service, watch: Watch) -> None:
    watch.expected.append("401")
    key, secret = guarded.store.add_key("anna", Role.SUBMIT, "the test")
    page.goto(guarded.url)
    page.get_by_label("Your key").fill(secret)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="behind the door")).to_be_visible()
    guarded.store.revoke_key(key.id)
    expect(page.get_by_role("dialog", name="This service asks for a key")).to_be_visible()
