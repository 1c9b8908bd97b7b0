"""What a page loads, in what order, and where something of it does not come."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest
from dashboard_service import Service, Watch
from playwright.sync_api import Page, Route, expect
from recorded_jobs import RecordedJob, add_device

pytestmark = pytest.mark.browser

PAGES = ("/", "/new", "/compare", "/devices", "/devices/{device}", "/jobs/{job}")
PRELOAD = re.compile(r'<link rel="modulepreload" href="[^"]*/(\w+\.js)">')


@pytest.fixture(scope="module")
def names(service: Service) -> dict[str, str]:
    add_device(service.store, name="loaded-board")
    job = RecordedJob(service.store, name="loaded")
    job.complete(0.5)
    return {"device": "loaded-board", "job": job.id}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_told_of_the_very_modules_that_it_needs(
    page: Page, service: Service, names: dict[str, str], path: str
) -> None:
    named: set[str] = set()
    needed: set[str] = set()

    def without_links(route: Route) -> None:
        text = route.fetch().text()
        named.update(PRELOAD.findall(text))
        route.fulfill(body=PRELOAD.sub("", text), content_type="text/html")

    page.route(f"{service.url}{path.format(**names)}", without_links)
    page.on("request", lambda request: needed.add(PurePosixPath(urlsplit(request.url).path).name))
    page.goto(path.format(**names))
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_load_state("networkidle")
    assert {name for name in needed if name.endswith(".js")} - {"plotly.min.js"} == named


def test_a_page_that_comes_in_part_says_so(page: Page, names: dict[str, str], watch: Watch) -> None:
    watch.expected += ["net::ERR_FAILED", "Failed to fetch dynamically imported module"]
    page.route("**/job_model.js", lambda route: route.abort())
    page.goto("/jobs/{job}".format(**names))
    expect(page.get_by_role("alert")).to_contain_text("The server did not send this page as a whole.")
    page.unroute("**/job_model.js")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("loaded")


def test_the_front_is_not_kept_waiting_by_the_charts_program(page: Page, names: dict[str, str]) -> None:
    """A browser that compiles the program draws nothing for a second: that is begun after the first drawing."""
    page.add_init_script(
        """window.order = [];
        new MutationObserver(() => {
            if (!order.includes("front") && document.querySelector(".sketch-front")) order.push("front");
            if (!order.includes("program") && document.querySelector("script[src*=plotly]")) order.push("program");
        }).observe(document, {subtree: true, childList: true});"""
    )
    page.route("**/front", lambda route: (page.wait_for_timeout(500), route.continue_()))
    page.goto("/jobs/{job}".format(**names))
    page.locator(".chart .main-svg").first.wait_for()
    assert page.evaluate("order") == ["front", "program"]
