"""Fixtures: a real server over a SQLite file, and a real chromium that is watched for anything it should not do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from dashboard_service import Service, Watch, serving
from playwright.sync_api import Browser, Page, sync_playwright
from recorded_jobs import add_device

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",  # a container seldom lets chromium make its own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT_MS = 15_000


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The server that the tests share, each with jobs of its own."""
    with serving(tmp_path_factory.mktemp("service")) as running:
        add_device(running.store)
        yield running


@pytest.fixture
def empty_service(tmp_path: Path) -> Iterator[Service]:
    """A server that knows no job."""
    with serving(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.fail(
            "The dashboard's tests drive chromium: install Debian's package `chromium` (apt-get install chromium)."
        )
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def page(browser: Browser, service: Service, watch: Watch) -> Iterator[Page]:
    """A fresh window; the test fails if it logs an error or talks to another host."""
    with browser.new_context(viewport={"width": 1280, "height": 900}, base_url=service.url) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", watch.hear)
        page.on("pageerror", watch.hear_uncaught)
        page.on("request", lambda request: watch.hosts.add(urlsplit(request.url).hostname or ""))
        yield page
    assert watch.unexpected() == []
    assert watch.hosts <= {"127.0.0.1", ""}  # blob: and data: have no host
