"""Make the pictures of docs/dashboard.md: `python -m benchmarks.dashboard_pictures`, in two minutes.

Starts a server with the jobs of benchmarks/example_jobs.py. Every page in light and dark, 1280 and 390 wide; and, for
what a sentence of the guide is about, the part of the page that it is about.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.example_jobs import BOARD, LATENCY, PHONE, record_everything
from benchmarks.screenshots import ARGUMENTS, CHROMIUM
from tests.browser.dashboard_service import Service, serving

COLOURS = 256
PATIENCE_MS = 60_000
WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
TALL: dict[str, Any] = {"viewport": {"width": 1280, "height": 1900}}
"""Whole parts without scrolling, which would take the pointer off a point."""
NARROW: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@dataclass(frozen=True)
class Picture:
    """An address, what has to be there before it is looked at, and what of it is shown (the window, or an element)."""

    address: str
    ready: str
    part: str | None = None
    act: Callable[[Page], object] | None = None


def pages(jobs: dict[str, str], front: list[int], knee: int) -> dict[str, Picture]:
    """Return every page of the dashboard by the name of its picture."""
    chart = ".chart .main-svg"
    job = f"/jobs/{jobs['large']}"
    form = f"search_space=text-encoder&dataset=language-identification&device={PHONE}&batch=1&input_length=64"
    trials = f"{jobs['large']}:{knee},{jobs['large']}:{front[-3]}"
    return {
        "jobs": Picture("/", "tr .job-name"),
        "job": Picture(f"{job}?deadline=5", chart),
        "new": Picture(f"/new?{form}", ".preview-facts:not(:empty)"),
        "devices": Picture("/devices", "tr[data-device]"),
        "device": Picture(f"/devices/{PHONE}", ".accuracy-chart .main-svg"),
        "compare-jobs": Picture(f"/compare?jobs={jobs['large']},{jobs['second']}", ".compare-chart .main-svg"),
        "compare-trials": Picture(f"/compare?trials={trials}", "main table"),
    }


def parts(jobs: dict[str, str], pointed: int, knee: int) -> dict[str, Picture]:
    """Return what single sentences of the guide are about, by the name of its picture."""
    chart = ".chart .main-svg"
    job = f"/jobs/{jobs['large']}"
    brushed = "error_rate~0.25~0.35"
    return {
        "deadline": Picture(f"{job}?deadline=5", chart, ".front-panel"),
        "feasible": Picture(f"{job}?x=parameters&feasible=1", chart, ".front-panel"),
        "hover": Picture(f"{job}", chart, ".front-panel", lambda page: _point_at(page, pointed)),
        "brushing": Picture(f"{job}?brush={brushed}", chart, ".front-column", _load_axes),
        "another-device": Picture(f"{job}?beside={BOARD}", chart, ".front-panel"),
        "take-along": Picture(f"{job}?trial={knee}", chart, ".details"),
        "search": Picture(job, chart, ".search-panel", _unfold_search),
        "trust": Picture(f"/jobs/{jobs['trained']}", chart, ".fidelity"),
    }


def main() -> int:
    """Take every picture; return 0, or 1 where there is no chromium."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/dashboard"), help="the folder for the pictures")
    parser.add_argument("--only", default="", help="take the pictures whose names begin so")
    arguments = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        print("chromium is not installed: it is Debian's package `chromium`", file=sys.stderr)
        return 1
    arguments.out.mkdir(parents=True, exist_ok=True)
    with _example_service() as (service, jobs), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for name, picture in _take_all(browser, service, jobs, arguments.only):
            path = arguments.out / f"{name}.png"
            path.write_bytes(picture)
            print(f"{path}: {len(picture) // 1000} kB", flush=True)
        browser.close()
    return 0


@contextmanager
def _example_service() -> Iterator[tuple[Service, dict[str, str]]]:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as service:
        yield service, record_everything(service.store, service.client)


def _take_all(browser: Browser, service: Service, jobs: dict[str, str], only: str) -> Iterator[tuple[str, bytes]]:
    front = service.client.get(f"/v1/jobs/{jobs['large']}/front").json()
    numbers = [member["number"] for member in sorted(front["members"], key=lambda m: m["metrics"][LATENCY])]
    for name, picture in pages(jobs, numbers, front["knee"]).items():
        for scheme in SCHEMES:
            for width, options in (("wide", WIDE), ("narrow", NARROW)):
                if (full := f"{name}-{scheme}-{width}").startswith(only):
                    yield full, _take(browser, service.url, picture, options | {"color_scheme": scheme})
    for name, picture in parts(jobs, numbers[2], front["knee"]).items():
        if name.startswith(only):
            yield name, _take(browser, service.url, picture, TALL | {"color_scheme": "light"})


def _take(browser: Browser, url: str, picture: Picture, options: dict[str, Any]) -> bytes:
    with browser.new_context(**options, base_url=url, reduced_motion="reduce") as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(picture.address)
        page.locator(picture.ready).first.wait_for()
        page.wait_for_load_state("load")
        page.wait_for_timeout(900)  # the last answers are drawn at most 150 ms after they came
        if picture.act:
            picture.act(page)
        target = page.locator(picture.part).first if picture.part else page
        return _with_a_palette(target.screenshot())


def _with_a_palette(png: bytes) -> bytes:
    """Return the picture in few colours: a third of the size, and the same to the eye."""
    written = io.BytesIO()
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


def _point_at(page: Page, number: int) -> None:
    """Move the pointer over a trial's point."""
    place = """(number) => {
        const chart = document.querySelector(".chart");
        const trace = chart.data.find((t) => t.name === "front");
        const {xaxis, yaxis} = chart._fullLayout;
        const i = Array.from(trace.customdata).indexOf(number);
        const box = chart.getBoundingClientRect();
        return [box.left + xaxis._offset + xaxis.d2p(trace.x[i]), box.top + yaxis._offset + yaxis.d2p(trace.y[i])];
    }"""
    x, y = page.evaluate(place, number)
    page.mouse.move(x - 30, y - 30)
    page.mouse.move(x, y, steps=4)
    page.locator(".hover-card").wait_for()


def _load_axes(page: Page) -> None:
    page.locator(".parallel").scroll_into_view_if_needed()
    page.get_by_role("textbox", name="Layers, from").wait_for()
    page.wait_for_timeout(400)


def _unfold_search(page: Page) -> None:
    page.locator(".search-panel summary").click()
    page.locator(".search-panel .growth-curve").wait_for()
    page.locator(".search-panel table.importance").first.wait_for()


if __name__ == "__main__":
    sys.exit(main())
