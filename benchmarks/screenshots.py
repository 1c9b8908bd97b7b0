"""Take the README's screenshots of the dashboard from a running server: `python -m benchmarks.screenshots`.

Shows the newest job that has a front, with its knee in the details: 1280 wide in light and in dark, 390 wide in light.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
PICTURES: dict[str, dict[str, Any]] = {
    "dashboard-light": {"viewport": {"width": 1280, "height": 960}, "color_scheme": "light"},
    "dashboard-dark": {"viewport": {"width": 1280, "height": 960}, "color_scheme": "dark"},
    "dashboard-phone": {
        "viewport": {"width": 390, "height": 844},
        "color_scheme": "light",
        "device_scale_factor": 2,
        "has_touch": True,
        "is_mobile": True,
    },
}


def main() -> int:
    """Take every picture; return 0, or 1 after saying what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the running server")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="the folder for the pictures")
    arguments = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        return _refuse("chromium is not installed: it is Debian's package `chromium`")
    try:
        job = newest_job(arguments.url)
    except httpx.HTTPError as error:
        return _refuse(f"no server answers at {arguments.url} ({error}): start one, for instance with `nas demo`")
    if job is None:
        return _refuse(f"{arguments.url} has no job with a front yet: `nas demo` makes one")
    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for name, options in PICTURES.items():
            path = arguments.out / f"{name}.png"
            take(browser, f"{arguments.url}{job['links']['page']}", path, options)
            print(f"{path}: {job['name']}, {path.stat().st_size // 1000} kB")
        browser.close()
    return 0


def newest_job(url: str) -> dict[str, Any] | None:
    """Return the summary of the newest job that has a front, or None."""
    jobs = (
        httpx.get(f"{url}/v1/jobs", params={"limit": 200}, timeout=30, trust_env=False)
        .raise_for_status()
        .json()["jobs"]
    )
    return next((job for job in jobs if job["progress"]["front_size"]), None)


def take(browser: Browser, address: str, path: Path, options: dict[str, Any]) -> None:
    """Save a picture of the page once every trial is on it."""
    with browser.new_context(**options, reduced_motion="reduce") as context:
        page = context.new_page()
        page.goto(address)
        page.locator(".chart .main-svg").first.wait_for()
        page.get_by_text("All trials").filter(has_not_text="…").wait_for()
        page.wait_for_timeout(500)  # the last trials are drawn at most 150 ms after they came
        if options.get("is_mobile"):
            page.locator(".front-panel").evaluate("panel => panel.scrollIntoView()")
        page.screenshot(path=path)


def _refuse(reason: str) -> int:
    print(reason, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
