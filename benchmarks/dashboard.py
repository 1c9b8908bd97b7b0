"""How the dashboard's job page does with a large job: first front, all points, a brush, a live update, a tab's memory.

    python benchmarks/dashboard.py                     # 100,000 trials, in two minutes
    python benchmarks/dashboard.py --trials 1000 --within 1     # ends with 1 where a person waits longer for the points
    python benchmarks/dashboard.py --optuna-dashboard /its/environment/bin/optuna-dashboard     # and that beside it

A real server over SQLite, and Debian's chromium without a graphics card, both on this machine. A browser that never saw
the page has to compile all of it, most of which is plotly; chromium keeps what it compiled once it met it twice.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from playwright.sync_api import TimeoutError as NotInTime
from service import answering, free_port
from service_jobs import RecordingWorker, abandon, large_job, large_study
from service_load import Pinned, Server

from nas.store.records import JobRecord
from nas.store.store import Store

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
CORE = 0
PATIENCE_MS = 120_000
UPDATES = 20
KEPT = "with what the browser kept"
VISITS = ("first visit after the server's start", "in another browser", "there again", KEPT)
NEW = VISITS[:2]

# When each of these was on the screen first, looked at in every frame and told after it: the knee with its figures and
# trials in the table; the front, as a sketch or by the chart's program; the chart that can be zoomed and brushed in;
# and the points of all trials, which are drawn together with the number of their rows
WATCH_VIEWS = """() => {
    const of = (name) => document.querySelector(".chart")?.data?.find((trace) => trace.name === name)?.x.length;
    const views = {
        text: () => document.querySelector(".details-id") && document.querySelector("tr[data-trial]"),
        front: () => document.querySelector(".sketch-front") || of("front"),
        chart: () => of("front"),
        every: () => {
            const tabs = document.querySelector(".tabs")?.textContent ?? "…";
            return (document.querySelector(".sketch-front") || of("front")) && !tabs.includes("…");
        },
    };
    window.seen = {};
    const look = () => {
        for (const [name, isThere] of Object.entries(views)) {
            if (!(name in seen) && isThere()) setTimeout(() => (seen[name] ??= performance.now()));
        }
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""
ALL_ARE_SEEN = "() => Object.keys(window.seen).length === 4 && window.seen"
# Whichever of its plots is the first to have points
ANY_PLOT_IS_DRAWN = """() => {
    const plots = Array.from(document.querySelectorAll(".js-plotly-plot"));
    const drawn = plots.some((plot) => plot.data?.some((trace) => trace.x?.length > 1));
    return drawn ? performance.now() : false;
}"""
TABS_SAY = "(text) => document.querySelector('.tabs').textContent.includes(text)"
# From the movement of the pointer to the end of the frame in which everything has been drawn anew
WATCH_BRUSH = """() => {
    window.brushes = [];
    document.addEventListener("pointermove", (event) => {
        if (!event.buttons) return;
        requestAnimationFrame(() => setTimeout(() => window.brushes.push(performance.now() - event.timeStamp), 0));
    }, {capture: true});
}"""


def main() -> int:
    """Print what was measured; return 1 where there is no chromium."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--optuna-dashboard", metavar="COMMAND", help="measure its page of the same trials, too")
    parser.add_argument("--within", type=float, help="seconds to every point, of a page that the browser knows")
    arguments = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        print("chromium is not installed: it is Debian's package `chromium`", file=sys.stderr)
        return 1
    slow = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = f"sqlite:///{folder / 'nas.db'}"
        store = Store.open(database)
        store.migrate()
        job = large_job(store, arguments.trials)
        with Server(database, CORE, folder, None) as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            for what, measured in measure(browser, f"http://{server.address[0]}:{server.address[1]}", store, job):
                print(f"{what:56} {measured}", flush=True)
                if arguments.within is not None and what == f"every point drawn, {KEPT}":
                    slow = float(measured.split()[0]) > arguments.within
            browser.close()
        if arguments.optuna_dashboard:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
                for what, measured in measure_other(browser, arguments.optuna_dashboard, folder, store, job):
                    print(f"optuna-dashboard, {what:38} {measured}", flush=True)
                browser.close()
        store.close()
    return 1 if slow else 0


def measure(browser: Browser, url: str, store: Store, job: JobRecord) -> Iterator[tuple[str, str]]:
    """Open the page four times, brush it, and record trials while it is open."""
    for visit in VISITS:
        if visit in NEW:
            page = browser.new_page(viewport={"width": 1280, "height": 900}, base_url=url)
            page.set_default_timeout(PATIENCE_MS)
            session = page.context.new_cdp_session(page)
            session.send("Network.enable")
            page.add_init_script(f"({WATCH_VIEWS})()")
        received = bytes_of(session)
        weight = Weight(session)
        page.goto(f"/jobs/{job.id}", wait_until="commit")
        seen = page.wait_for_function(ALL_ARE_SEEN).json_value()
        yield (f"knee and table, {visit}", f"{seen['text'] / 1000:.2f} s from the request")
        yield (f"front drawn, {visit}", f"{seen['front'] / 1000:.2f} s from the request")
        yield (f"chart to zoom and brush in, {visit}", f"{seen['chart'] / 1000:.2f} s from the request")
        yield (f"every point drawn, {visit}", f"{seen['every'] / 1000:.2f} s; {received() / 1e6:.2f} MB received")
        yield (f"page, {visit}", weight.told())
        if visit == VISITS[0]:
            page.close()
    yield ("choices of all trials loaded and drawn", f"{scroll_to_axes(page):.2f} s")
    brushes = brush(page)
    yield ("a step of a brush", f"median {statistics.median(brushes):.0f} ms, longest {max(brushes):.0f} ms")
    yield ("memory of the tab", memory_of(session))
    yield ("a live update", live_update(page, session, store, job))
    page.close()


def measure_other(
    browser: Browser, command: str, folder: Path, store: Store, job: JobRecord
) -> Iterator[tuple[str, str]]:
    """Open optuna-dashboard's page of a study of the same trials, three times."""
    url, port = f"sqlite:///{folder / 'study.db'}", free_port()
    study = large_study(url, store, job)
    run = [command, url, "--host", "127.0.0.1", "--port", str(port), "--quiet"]
    with Pinned(run, CORE, folder / "optuna-dashboard.log") as dashboard:
        answering(dashboard, port, PATIENCE_MS / 1000)
        page = browser.new_page(viewport={"width": 1280, "height": 900}, base_url=f"http://127.0.0.1:{port}")
        page.set_default_timeout(PATIENCE_MS)
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        for visit in ("first visit", "second visit", "third visit"):
            received = bytes_of(session)
            page.goto(f"/dashboard/studies/{study}", wait_until="commit")
            try:
                drawn = page.wait_for_function(ANY_PLOT_IS_DRAWN).json_value()
            except NotInTime:
                yield (f"a plot drawn, {visit}", f"not within {PATIENCE_MS / 1000:.0f} s")
                break
            yield (f"a plot drawn, {visit}", f"{drawn / 1000:.2f} s; {received() / 1e6:.2f} MB received")
        yield ("memory of the tab", memory_of(session))
        page.close()


class Weight:
    """What a page asked for: requests, and bytes over the wire by kind."""

    def __init__(self, session: CDPSession) -> None:
        self._kinds: dict[str, str] = {}
        self._bytes: Counter[str] = Counter()
        session.on("Network.responseReceived", lambda event: self._kinds.update({event["requestId"]: event["type"]}))
        session.on("Network.loadingFinished", self._add)

    def _add(self, event: dict[str, Any]) -> None:
        self._bytes[self._kinds.get(event["requestId"], "Other")] += event["encodedDataLength"]

    def told(self) -> str:
        """Return both in words."""
        kinds = ", ".join(f"{kind} {size / 1e3:.0f} kB" for kind, size in self._bytes.most_common())
        return f"{len(self._kinds)} requests: {kinds}"


def bytes_of(session: CDPSession) -> Callable[[], float]:
    """Return what tells how many bytes came over the wire until now."""
    total = [0.0]

    def add(event: dict[str, Any]) -> None:
        total[0] += event["encodedDataLength"]

    session.on("Network.dataReceived", add)
    return lambda: total[0]


def scroll_to_axes(page: Page) -> float:
    """Return the seconds until the parallel axes have all choices."""
    begun = time.perf_counter()
    page.locator(".parallel").scroll_into_view_if_needed()
    page.get_by_role("textbox", name="Layers, from").wait_for()
    return time.perf_counter() - begun


def brush(page: Page) -> list[float]:
    """Return the milliseconds of each step of a range that is drawn on an axis."""
    track = page.locator('.parallel-axis[aria-label="Error rate"] .parallel-track')
    track.scroll_into_view_if_needed()
    box = track.bounding_box()
    assert box is not None
    page.evaluate(WATCH_BRUSH)
    x = box["x"] + box["width"] / 2
    page.mouse.move(x, box["y"] + 0.2 * box["height"])
    page.mouse.down()
    for step in range(1, 16):
        page.mouse.move(x, box["y"] + (0.2 + 0.04 * step) * box["height"])
        page.wait_for_timeout(150)
    page.mouse.up()
    page.locator(".selection-count").wait_for()  # it was a brush
    durations: list[float] = page.evaluate("window.brushes")
    return durations


def memory_of(session: CDPSession) -> str:
    """Return what the page's own program holds, after what is of no use has been collected."""
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    return f"{used / 1e6:.0f} MB of JavaScript's heap"


def live_update(page: Page, session: CDPSession, store: Store, job: JobRecord) -> str:
    """Return the bytes and the time of an update: a trial begins and ends, and its row count is on the page."""
    abandon(store, job)
    worker = RecordingWorker(store, store.job(job.id), UPDATES)
    page.wait_for_timeout(2_000)
    received = bytes_of(session)
    durations = []
    before = int(page.locator(".tabs").inner_text().split("(")[-1].strip(") \n"))
    for number in range(UPDATES):
        begun = time.perf_counter()
        worker.complete(*worker.start())
        page.wait_for_function(TABS_SAY, arg=f"({before + number + 1})")
        durations.append(time.perf_counter() - begun)
    page.wait_for_timeout(2_000)
    return f"{received() / UPDATES / 1e3:.1f} kB, on the page after {statistics.median(durations):.2f} s"


if __name__ == "__main__":
    sys.exit(main())
