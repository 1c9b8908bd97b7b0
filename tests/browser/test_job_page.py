"""One job's page in a real browser: the live front, the details of a trial, the table, the address."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from dashboard_service import Service, Watch, serving
from job_window import JobWindow
from playwright.sync_api import Page, expect
from recorded_jobs import DEVICE, LATENCY, RecordedJob, add_device

from nas.architecture import Architecture
from nas.documents import parse_document
from nas.errors import NotFound
from nas.store.records import JobState, RetrainingKey

pytestmark = pytest.mark.browser

ERRORS = (0.9, 0.5, 0.7, 0.3, 0.62, 0.55)
BOX = ({"error_rate": 1.0, LATENCY: 1.0}, {"error_rate": 0.0, LATENCY: 0.0})
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def recorded(service: Service) -> RecordedJob:
    """A job that stays as it is: six complete trials, two skipped ones, a failed and a running one."""
    job = RecordedJob(service.store, name="recorded")
    job.set_reference(*BOX)
    for error_rate in ERRORS:
        job.complete(error_rate, weights=True)
    job.skip_as_duplicate_of(1)
    job.skip_over_limit()
    job.fail("TrainingDiverged: the loss is not finite")
    job.begin()
    return job


@pytest.fixture
def window(page: Page, recorded: RecordedJob) -> JobWindow:
    return JobWindow(page, recorded.id)


def front_of(service: Service, job: RecordedJob, query: str = "") -> list[int]:
    members = service.client.get(f"/v1/jobs/{job.id}/front{query}").json()["members"]
    return [trial["number"] for trial in members]


def trial_of(service: Service, job: RecordedJob, number: int) -> dict[str, Any]:
    trial: dict[str, Any] = service.client.get(f"/v1/jobs/{job.id}/trials/{number}").json()
    return trial


def test_the_head_shows_the_numbers_of_the_api(window: JobWindow, service: Service) -> None:
    window.open()
    progress = service.client.get(f"/v1/jobs/{window.job_id}").json()["progress"]
    expect(window.page.get_by_role("main")).to_contain_text(f"{progress['evaluated']} / {progress['budget']}")
    for name in ("front_size", "failed", "running"):
        expect(window.figure(name)).to_have_text(str(progress[name]))
    for name in ("duplicate", "over_limit"):
        expect(window.figure(name)).to_have_text(str(progress["skipped"][name]))
    expect(window.figure("hypervolume")).to_have_text(f"{progress['hypervolume']:.3f}")
    expect(window.page.get_by_role("main")).to_contain_text("Parameters ≤ 24 k")


def test_the_chart_draws_every_trial_where_the_api_says(
    window: JobWindow, service: Service, recorded: RecordedJob
) -> None:
    window.open()
    front = front_of(service, recorded)
    window.wait_until_drawn("front", set(front))
    window.wait_until_drawn("dominated", set(range(len(ERRORS))) - set(front))
    for point in window.drawn("front") + window.drawn("dominated"):
        metrics = trial_of(service, recorded, point["number"])["metrics"]
        assert (point["x"], point["y"]) == (metrics[LATENCY], metrics["error_rate"])
    (knee,) = window.drawn("knee")
    assert knee["number"] == service.client.get(f"/v1/jobs/{recorded.id}/front").json()["knee"]
    assert window.axes()["x"]["title"].startswith(f"Latency on {DEVICE}, ms")
    expect(window.page.locator(".modebar-btn")).to_have_count(0)  # plotly's own offer to upload the chart


def test_a_trial_recorded_while_the_page_is_open_appears_without_reload(page: Page, service: Service) -> None:
    job = RecordedJob(service.store, name="live")
    first = job.complete(0.8)
    window = JobWindow(page, job.id).open()
    window.wait_until_drawn("front", {first})
    page.evaluate("window.notReloaded = true")
    job.skip_over_limit()
    for error_rate in (0.7, 0.6, 0.5):
        job.complete(error_rate)
    front = front_of(service, job)
    window.wait_until_drawn("front", set(front))
    expect(window.figure("front_size")).to_have_text(str(len(front)))
    expect(window.figure("over_limit")).to_have_text("1")
    expect(window.table.locator("tr[data-trial]")).to_have_count(len(front))
    assert set(window.rows()) == set(front)
    job.finish()
    expect(page.get_by_role("main")).to_contain_text("succeeded")
    expect(page.get_by_role("button", name="Cancel job")).to_be_hidden()
    assert page.evaluate("window.notReloaded")


def test_zoom_stays_when_a_trial_arrives(page: Page, service: Service) -> None:
    job = RecordedJob(service.store, name="zoomed")
    numbers = {job.complete(error_rate) for error_rate in (0.8, 0.4)}
    window = JobWindow(page, job.id).open()
    page.wait_for_function("document.querySelector('.chart').data")
    box = page.locator(".chart .nsewdrag").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
    before = window.axes()
    page.mouse.up()
    page.wait_for_function(
        "(low) => document.querySelector('.chart')._fullLayout.xaxis.range[0] > low", arg=before["x"]["range"][0]
    )
    zoomed = window.axes()
    numbers.add(job.complete(0.95))
    expect(window.page.get_by_role("main")).to_contain_text("3 / 20")
    page.wait_for_function(
        "document.querySelector('.chart').data.reduce((n, t) => n + (t.customdata?.length ?? 0), 0) >= 4"
    )
    assert window.axes() == zoomed
    page.get_by_role("button", name="Reset zoom").click()
    page.wait_for_function(
        "(low) => document.querySelector('.chart')._fullLayout.xaxis.range[0] < low", arg=zoomed["x"]["range"][0]
    )


def test_a_chosen_row_shows_every_number_of_the_trial(
    window: JobWindow, service: Service, recorded: RecordedJob
) -> None:
    window.open()
    number = front_of(service, recorded)[0]
    window.open_row(number)
    trial = trial_of(service, recorded, number)
    for name in ("parameters", "parameters_without_embeddings", "macs"):
        assert window.detail(name) == f"{trial['metrics'][name]:,}"
    assert window.detail("flops") == f"{2 * trial['metrics']['macs']:,}"
    for name in ("error_rate", "loss", LATENCY, "size_mb"):
        assert float(window.detail(name)) == pytest.approx(trial["metrics"][name], rel=1e-5)
    expect(window.details.locator('[data-metric="error_rate"]')).to_contain_text("proxy")
    expect(window.details).to_contain_text(trial["architecture_id"])
    expect(window.details).to_contain_text(f"hidden size {trial['architecture']['encoder']['hidden_size']}")
    window.details.get_by_text("Layer by layer").click()
    expect(window.details.locator("table.layers tbody tr")).to_have_count(
        len(trial["architecture"]["encoder"]["layers"])
    )
    window.details.get_by_text("Training", exact=True).click()
    expect(window.details.get_by_role("img", name="Training loss from")).to_be_visible()


def test_the_pointer_over_a_point_shows_its_architecture_and_a_click_its_details(
    window: JobWindow, service: Service, recorded: RecordedJob
) -> None:
    window.open()
    number = next(n for n in range(len(ERRORS)) if n not in front_of(service, recorded))
    window.page.mouse.move(*window.place_of("dominated", number))
    card = window.page.locator(".hover-card")
    trial = trial_of(service, recorded, number)
    expect(card).to_contain_text(f"Trial {number}")
    expect(card).to_contain_text(f"{trial['metrics']['error_rate']:.4f}")
    expect(card).to_contain_text("proxy")
    for layer in trial["architecture"]["encoder"]["layers"]:
        expect(card).to_contain_text(f"feed-forward {layer['feed_forward_size']}")
    window.page.mouse.click(*window.place_of("dominated", number))
    expect(window.details.get_by_role("heading", level=2)).to_have_text(f"Trial {number}")
    expect(window.page).to_have_url(re.compile(f"trial={number}"))


def test_the_downloads_are_the_configuration_and_the_weights(
    window: JobWindow, service: Service, recorded: RecordedJob, tmp_path: Path
) -> None:
    window.open()
    number = front_of(service, recorded)[0]
    window.open_row(number)
    trial = trial_of(service, recorded, number)
    files = {}
    for name in ("Config, YAML", "Config, JSON", "Weights"):
        with window.page.expect_download() as download:
            window.details.get_by_role("link", name=name).click()
        files[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[name])
    document = parse_document(files["Config, YAML"].read_bytes())
    assert Architecture.from_dict(document["architecture"]).id == trial["architecture_id"]
    assert json.loads(files["Config, JSON"].read_text()) == document
    assert files["Weights"].stat().st_size == document["weights"]["size_bytes"]
    command = window.details.locator(".command code").inner_text()
    assert command == f"nas score {files['Config, YAML'].name} --verify"
    window.details.get_by_role("button", name="Copy the command").click()
    expect(window.details.get_by_role("button", name="Copy the command")).to_have_text("Copied")
    assert window.page.evaluate("navigator.clipboard.readText()") == command


def test_the_chart_can_be_saved_as_a_picture(window: JobWindow) -> None:
    window.open()
    window.page.wait_for_function("document.querySelector('.chart').data")
    with window.page.expect_download() as download:
        window.page.get_by_role("button", name="Save SVG").click()
    assert "<svg" in download.value.path().read_text()[:200]


def test_skipped_and_failed_trials_say_why(window: JobWindow, recorded: RecordedJob) -> None:
    window.open("?rows=all")
    trials = recorded.store.trials(recorded.id)
    expect(window.table.locator("tr[data-trial]")).to_have_count(len(trials))
    duplicate, over_limit, failed, running = range(len(ERRORS), len(ERRORS) + 4)
    window.open_row(duplicate)
    expect(window.details).to_contain_text("The same architecture as trial 1")
    expect(window.details.get_by_role("link")).to_have_count(0)
    window.open_row(over_limit)
    expect(window.details).to_contain_text("Breaks the limit parameters <= 24000 by")
    window.open_row(failed)
    expect(window.details).to_contain_text("TrainingDiverged: the loss is not finite")
    window.open_row(running)
    expect(window.details).to_contain_text("Being trained now")


def test_the_view_survives_reload_and_the_back_button(
    window: JobWindow, service: Service, recorded: RecordedJob
) -> None:
    window.open()
    page = window.page
    page.wait_for_function("document.querySelector('.chart').data")
    page.get_by_label("log x").check()
    page.get_by_label("feasible only").check()
    page.get_by_label("X axis").select_option("parameters")
    number = front_of(service, recorded, "?objectives=error_rate,parameters")[0]
    window.open_row(number)
    address = page.url
    page.reload()
    assert page.url == address
    expect(page.get_by_label("log x")).to_be_checked()
    expect(page.get_by_label("feasible only")).to_be_checked()
    expect(page.get_by_label("X axis")).to_have_value("parameters")
    expect(window.details.get_by_role("heading", level=2)).to_have_text(f"Trial {number}")
    page.wait_for_function("document.querySelector('.chart')?._fullLayout?.xaxis.type === 'log'")
    assert window.axes()["x"]["title"].startswith("Parameters")
    page.go_back()
    expect(page.get_by_role("button", name="Close the details")).to_have_count(0)
    page.go_back()
    expect(page.get_by_label("X axis")).to_have_value(LATENCY)
    expect(page.get_by_label("log x")).to_be_checked()


def test_on_other_axes_the_server_says_who_is_on_the_front(
    window: JobWindow, service: Service, recorded: RecordedJob
) -> None:
    window.open("?x=parameters&y=loss")
    front = front_of(service, recorded, "?objectives=loss,parameters")
    window.wait_until_drawn("front", set(front))
    expect(window.page.get_by_role("main")).to_contain_text("The front of these two axes")
    assert sorted(window.rows()) == sorted(front)
    window.page.get_by_role("button", name="Back to the job’s objectives").click()
    window.wait_until_drawn("front", set(front_of(service, recorded)))
    expect(window.page).to_have_url(re.compile(r"^[^?]*$"))


def test_trials_over_a_limit_are_drawn_where_both_figures_are_known(window: JobWindow) -> None:
    window.open(f"?x=parameters&y={LATENCY}")
    over_limit = len(ERRORS) + 1
    window.wait_until_drawn("infeasible", {over_limit})
    assert len(window.page.evaluate("document.querySelector('.chart').layout.shapes")) == 2  # shade and edge
    window.page.get_by_label("feasible only").check()
    window.wait_until_drawn("infeasible", set())


def test_the_table_sorts_by_the_column_that_is_chosen(
    window: JobWindow, service: Service, recorded: RecordedJob
) -> None:
    window.open("?rows=all")
    expect(window.table.locator("tr[data-trial]")).to_have_count(len(ERRORS) + 4)
    head = window.table.get_by_role("button", name="Error rate")
    head.click()
    expect(window.table.get_by_role("columnheader", name="Error rate")).to_have_attribute("aria-sort", "ascending")
    values = {n: trial_of(service, recorded, n)["metrics"].get("error_rate") for n in window.rows()}
    known = sorted(value for value in values.values() if value is not None)
    assert [values[n] for n in window.rows()][: len(known)] == known
    head.click()
    expect(window.table.get_by_role("columnheader", name="Error rate")).to_have_attribute("aria-sort", "descending")
    assert [values[n] for n in window.rows()][: len(known)] == known[::-1]


def test_everything_can_be_reached_with_the_keyboard(
    window: JobWindow, service: Service, recorded: RecordedJob
) -> None:
    window.open()
    keyboard = window.page.keyboard
    front = front_of(service, recorded)
    expect(window.row(front[0])).to_be_visible()
    keyboard.press("Tab")
    expect(window.page.get_by_role("link", name="Skip to content")).to_be_focused()
    for _ in range(120):
        if window.page.evaluate("document.activeElement.classList.contains('trial-link')"):
            break
        keyboard.press("Tab")
    expect(window.row(front[0]).get_by_role("button")).to_be_focused()
    keyboard.press("ArrowDown")
    expect(window.row(front[1]).get_by_role("button")).to_be_focused()
    keyboard.press("Enter")
    expect(window.details).to_be_focused()
    expect(window.details.get_by_role("heading", level=2)).to_have_text(f"Trial {front[1]}")
    keyboard.press("Escape")
    expect(window.row(front[1]).get_by_role("button")).to_be_focused()


def test_a_link_skips_to_the_trials_and_keeps_the_view(window: JobWindow) -> None:
    window.open("?rows=all")
    skip = window.page.get_by_role("link", name="Skip to the trials")
    assert (skip.bounding_box() or {})["y"] < 0
    skip.focus()
    assert (skip.bounding_box() or {})["y"] >= 0
    window.page.keyboard.press("Enter")
    expect(window.page.get_by_role("heading", name="Trials")).to_be_focused()
    window.page.keyboard.press("Tab")
    assert window.page.evaluate("document.activeElement.closest('.rows') !== null")
    window.page.reload()
    expect(window.page.get_by_role("button", name=re.compile("^All"))).to_have_attribute("aria-pressed", "true")


def test_a_name_full_of_markup_is_only_text(page: Page, service: Service) -> None:
    job = RecordedJob(service.store, name=HOSTILE)
    job.complete(0.5)
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
    page.goto("/")
    # Other tests of this service have jobs of that name, too
    expect(page.locator(f'a.job-name[href="/jobs/{job.id}"]')).to_have_text(HOSTILE)
    JobWindow(page, job.id).open()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    assert page.locator("main img").count() == page.locator("main [onerror]").count() == 0


def test_an_unknown_job_is_said_to_be_unknown(page: Page, watch: Watch) -> None:
    watch.expected.append("404")
    page.goto("/jobs/j-00000000000000000000")
    expect(page.get_by_role("heading", name="No such job")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("knows no job j-00000000000000000000")
    expect(page.get_by_role("link", name="See all jobs")).to_be_visible()


def test_a_job_is_cancelled_only_after_confirmation(page: Page, service: Service) -> None:
    job = RecordedJob(service.store, name="to be cancelled")
    JobWindow(page, job.id).open()
    page.get_by_role("button", name="Cancel job").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Keep it running")).to_be_focused()
    page.keyboard.press("Escape")
    assert not service.store.job(job.id).cancel_requested
    page.get_by_role("button", name="Cancel job").click()
    dialog.get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_role("main")).to_contain_text("cancelling…")
    assert service.store.job(job.id).cancel_requested
    job.finish(JobState.CANCELLED, "cancelled on request")
    expect(page.get_by_role("main")).to_contain_text("cancelled on request")


def test_a_job_is_paused_resumed_and_tried_again_from_its_page(page: Page, service: Service) -> None:
    job = RecordedJob.queued(service.store, name="to be paused")
    main = page.get_by_role("main")
    page.goto(f"/jobs/{job.id}")
    main.get_by_role("button", name="Pause").click()
    expect(main.locator(".job-state")).to_have_text("paused")
    expect(main).to_contain_text("nothing is trained until somebody resumes it")
    assert service.store.job(job.id).state is JobState.PAUSED
    main.get_by_role("button", name="Resume").click()
    expect(main.locator(".job-state")).to_have_text("queued")
    service.store.request_cancel(job.id)
    expect(main.locator(".job-state")).to_have_text("cancelled")
    main.get_by_role("button", name="Try again").click()
    expect(main.locator(".job-state")).to_have_text("queued")
    service.store.request_pause(job.id)  # heard of: the page follows the job again
    expect(main.locator(".job-state")).to_have_text("paused")


def test_a_running_job_is_asked_to_pause_and_may_go_on(page: Page, service: Service) -> None:
    job = RecordedJob(service.store, name="runs")
    main = JobWindow(page, job.id).open().page.get_by_role("main")
    main.get_by_role("button", name="Pause").click()
    expect(main.locator(".job-state")).to_have_text("pausing…")
    main.get_by_role("button", name="Resume").click()
    expect(main.locator(".job-state")).to_have_text("running")
    assert not service.store.job(job.id).pause_requested


def test_what_cannot_be_done_any_more_is_said(page: Page, service: Service, watch: Watch) -> None:
    watch.expected += ["409", "net::ERR_FAILED"]
    job = RecordedJob.queued(service.store, name="over")
    page.route("**/events*", lambda route: route.abort())  # so that the page does not hear of the end
    page.goto(f"/jobs/{job.id}")
    pause = page.get_by_role("button", name="Pause")
    pause.wait_for()
    service.store.request_cancel(job.id)
    pause.click()
    expect(page.get_by_role("alert").filter(has_text="is cancelled: only one")).to_be_visible()
    expect(pause).to_be_enabled()


def test_a_job_is_deleted_only_after_confirmation_and_leaves_the_list(page: Page, service: Service) -> None:
    job = RecordedJob(service.store, name="to be deleted")
    job.complete(0.5)
    job.finish()
    JobWindow(page, job.id).open()
    page.get_by_role("button", name="Delete job").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 evaluated candidate")
    dialog.get_by_role("button", name="Keep it").click()
    assert service.store.job(job.id).state is JobState.SUCCEEDED
    page.get_by_role("button", name="Delete job").click()
    dialog.get_by_role("button", name="Delete the job").click()
    page.wait_for_url("**/")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    expect(page.get_by_role("link", name="to be deleted")).to_have_count(0)
    with pytest.raises(NotFound):
        service.store.job(job.id)


def test_a_page_whose_job_is_deleted_elsewhere_says_so(page: Page, service: Service, watch: Watch) -> None:
    watch.expected.append("404")
    job = RecordedJob.queued(service.store, name="gone")
    page.goto(f"/jobs/{job.id}")
    expect(page.get_by_role("status").filter(has_text="live")).to_be_visible()
    service.store.request_pause(job.id)
    expect(page.locator(".job-state")).to_have_text("paused")
    service.store.delete_job(job.id)
    expect(page.get_by_role("alert")).to_contain_text("This job has been deleted.")


def test_a_job_that_waits_says_what_it_waits_for(page: Page, service: Service) -> None:
    job = RecordedJob.queued(service.store, name="waits")
    page.goto(f"/jobs/{job.id}")
    expect(page.get_by_role("main")).to_contain_text("nas worker")
    expect(page.get_by_role("main")).to_contain_text("The job waits for a worker.")


def test_after_a_restart_of_the_server_nothing_is_missing(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as before:
        add_device(before.store)
        job = RecordedJob(before.store, name="interrupted")
        job.complete(0.8)
        page.goto(f"{before.url}/jobs/{job.id}")
        main = page.get_by_role("main")
        expect(main).to_contain_text("1 / 20")
        expect(main.get_by_role("status").filter(has_text="live")).to_be_visible()
        expect(main.get_by_role("button", name="All trials (1)", exact=True)).to_be_visible()
        page.wait_for_load_state("networkidle")  # else it says, too, what it could not ask for any more
        port = urlsplit(before.url).port or 0
    expect(page.get_by_role("alert")).to_contain_text("The connection to the server is lost.")
    job.complete(0.3)
    with serving(tmp_path, port=port):
        expect(main).to_contain_text("2 / 20")
        expect(page.get_by_role("alert")).to_have_count(0)


def test_nothing_is_cut_off_on_a_phone(page: Page, recorded: RecordedJob) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/", f"/jobs/{recorded.id}?trial=0"):
        page.goto(path)
        page.get_by_role("heading", level=1).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_job_is_finished_from_its_page_and_the_page_tells_what_the_api_reports(service: Service, page: Page) -> None:
    job = RecordedJob(service.store, name="to be finished", budget={"trials": 6}, constraints=[])
    job.set_reference(*BOX)
    job.complete_front(ERRORS)
    job.finish()
    window = JobWindow(page, job.id).open()
    panel = page.get_by_role("region", name="How far to trust the error rate")
    expect(panel).to_contain_text("take it as a proxy")
    panel.get_by_role("button", name="Train the front in full").click()
    expect(page.locator(".job-state")).to_contain_text("queued")

    # A worker takes it, and the page follows without being loaded again
    job.begin_finishing()
    keys = service.client.get(f"/v1/jobs/{job.id}").json()["progress"]["finish"]
    report = service.client.get(f"/v1/jobs/{job.id}/fidelity").json()
    done = 0
    for member in report["finish"]["members"]:
        for seed in range(1 if member["roles"] == ["sample"] else 3):
            number, proxy = member["trial"], member["proxy"]
            job.retrain(RetrainingKey(number, keys["steps"], seed), proxy + 0.05 * seed, proxy / 2, proxy / 2 + 0.02)
            done += 1
    assert done == keys["trainings"]
    expect(window.figure("finish")).to_have_text(f"{done} / {done}")
    job.finish(reason="budget spent; finishing it: done")
    expect(page.locator(".job-state")).to_contain_text("succeeded")
    report = service.client.get(f"/v1/jobs/{job.id}/fidelity").json()
    assert report["status"] == "checked"
    for words in report["words"]:
        expect(panel).to_contain_text(words)
    for rung in (*report["rungs"], *report["beside"]):
        expect(panel).to_contain_text(f"{rung['overall']['tau']:.2f}".replace("-", "−"))
    tie = report["ties"][0]
    window.open_row(tie["trial"])
    trial = trial_of(service, job, tie["trial"])
    figures = {quality["label"]: quality["metrics"]["error_rate"] for quality in trial["qualities"]}
    for label in ("trained", "tested"):
        shown = window.details.locator(f'[data-metric="error_rate:{label}"]')
        expect(shown).to_contain_text(f"{figures[label]:.4f}"[:6])
        expect(shown).to_contain_text(label)
    window.details.get_by_role("button", name=f"trial {tie['tied_with'][0]}").click()
    expect(window.details.get_by_role("heading", level=2)).to_have_text(f"Trial {tie['tied_with'][0]}")
