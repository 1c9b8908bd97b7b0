"""axe-core finds nothing on any page: light and dark, on a desk and on a phone, with everything unfolded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from axe import findings
from dashboard_service import Service, Watch, serving
from playwright.sync_api import Page, expect
from recorded_jobs import DEVICE, LATENCY, RecordedJob, add_device, device_and_table

from nas.jobs import inventory
from nas.store.records import JobState, RetrainingKey
from nas.workload import Workload

pytestmark = pytest.mark.browser

BOX = ({"error_rate": 1.0, LATENCY: 1.0}, {"error_rate": 0.0, LATENCY: 0.0})
OTHER = "slow-board"
PATIENCE_MS = 30_000
LOOKS: list[tuple[Literal["light", "dark"], int]] = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]


@dataclass(frozen=True)
class Furnished:
    """A server whose jobs are in every state that looks different."""

    service: Service
    searching: RecordedJob
    failed: RecordedJob
    checked: RecordedJob


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    with serving(tmp_path_factory.mktemp("furnished")) as running:
        store = running.store
        add_device(store)
        add_device(store, name=OTHER, constant_ns=30_000)
        device, table = device_and_table("smoke", Workload(input_length=32))
        inventory.add_table(store, DEVICE, table.to_dict())
        inventory.add_device(store, device.model_dump(mode="json") | {"name": "bare", "address": "ssh://pi@bare"})
        searching = RecordedJob(store, name="still searching")
        searching.set_reference(*BOX)
        searching.complete_front((0.9, 0.7, 0.6, 0.5, 0.45, 0.4))
        for error_rate in (0.8, 0.75, 0.95, 0.65, 0.88, 0.91):
            searching.complete(error_rate, weights=True)
        searching.skip_as_duplicate_of(1)
        searching.skip_over_limit()
        searching.fail("TrainingDiverged: the loss is not finite")
        searching.begin()
        failed = RecordedJob(store, name="broken off", seed=2)
        failed.complete(0.5)
        failed.finish(JobState.FAILED, "the evaluator is gone")
        RecordedJob.queued(store, name="waiting", seed=4)
        yield Furnished(running, searching, failed, _checked(running))


def _checked(service: Service) -> RecordedJob:
    """A job that has been finished: its front is trained in full, and the page says how far to trust its scores."""
    job = RecordedJob(service.store, name="trained in full", budget={"trials": 6}, constraints=[])
    job.set_reference(*BOX)
    job.complete_front((0.9, 0.5, 0.7, 0.3, 0.62, 0.55))
    job.finish()
    service.client.post(f"/v1/jobs/{job.id}/finish", json={}).raise_for_status()
    job.begin_finishing()
    keys = service.client.get(f"/v1/jobs/{job.id}").json()["progress"]["finish"]
    for member in service.client.get(f"/v1/jobs/{job.id}/fidelity").json()["finish"]["members"]:
        number, proxy = member["trial"], member["proxy"]
        for seed in range(1 if member["roles"] == ["sample"] else 3):
            job.retrain(RetrainingKey(number, keys["steps"], seed), proxy + 0.05 * seed, proxy / 2, proxy / 2 + 0.02)
    job.finish(reason="budget spent; finishing it: done")
    assert service.client.get(f"/v1/jobs/{job.id}/fidelity").json()["status"] == "checked"
    return job


def _in_its_tier(look: tuple[Literal["light", "dark"], int]) -> Any:
    """Return a look as a parameter: two of them, which have each colour and each width, in the short tier."""
    quick = look in (("light", 1280), ("dark", 390))
    return pytest.param(look, id=f"{look[0]}-{look[1]}", marks=() if quick else pytest.mark.long)


@pytest.fixture(params=[_in_its_tier(look) for look in LOOKS])
def window(page: Page, request: pytest.FixtureRequest) -> Page:
    scheme, width = request.param
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 900})
    return page


def unfold(page: Page) -> None:
    """Open what is folded, and wait for what it asks the server for."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    expect(page.locator("main .loading")).to_have_count(0, timeout=PATIENCE_MS)


def open_job(page: Page, furnished: Furnished, job: RecordedJob, query: str = "") -> None:
    page.goto(f"{furnished.service.url}/jobs/{job.id}{query}")
    page.locator(".chart .main-svg").first.wait_for()


def test_the_list_of_jobs(window: Page, furnished: Furnished) -> None:
    window.goto(furnished.service.url)
    for name in ("still searching", "trained in full"):
        window.get_by_label(f"Choose {name} to compare").check()
    window.get_by_role("link", name="Compare 2 jobs").wait_for()
    assert findings(window) == []


def test_a_list_without_jobs_and_devices_without_any(window: Page, empty_service: Service) -> None:
    for address in ("/", "/devices"):
        window.goto(f"{empty_service.url}{address}")
        window.get_by_role("heading", level=1).wait_for()
        unfold(window)
        assert findings(window) == []


@pytest.mark.parametrize("rows", ["front", "all"])
def test_a_job_that_searches(window: Page, furnished: Furnished, rows: str) -> None:
    open_job(window, furnished, furnished.searching, f"?rows={rows}")
    window.locator("tr[data-trial]").first.wait_for()
    unfold(window)
    assert findings(window) == []


def test_trials_of_every_state_in_the_details(window: Page, furnished: Furnished) -> None:
    for number in (6, 12, 13, 14, 15):  # complete, a duplicate, over a limit, failed, running
        open_job(window, furnished, furnished.searching, f"?rows=all&trial={number}")
        window.get_by_role("heading", name=f"Trial {number}").wait_for()
        unfold(window)
        assert findings(window) == []


def test_a_job_on_other_axes_without_a_trial_of_that_number(window: Page, furnished: Furnished) -> None:
    open_job(window, furnished, furnished.searching, "?x=macs&y=loss&log=xy&feasible=1&trial=999")
    expect(window.locator(".front-note")).to_contain_text("The front of these two axes, within")
    assert findings(window) == []


def test_a_deadline_a_selection_and_another_device_beside(window: Page, furnished: Furnished) -> None:
    open_job(window, furnished, furnished.searching, f"?deadline=0.1&brush=error_rate~0.4~0.7&beside={OTHER}")
    expect(window.locator(".selection-count")).to_contain_text("trials")
    expect(window.locator(".chart-key")).to_contain_text(f"front on {OTHER}")
    window.locator(".parallel").scroll_into_view_if_needed()
    window.get_by_role("textbox", name="Layers, from").wait_for()
    assert findings(window) == []


def test_a_question_before_what_cannot_be_taken_back(window: Page, furnished: Furnished) -> None:
    open_job(window, furnished, furnished.searching)
    window.get_by_role("button", name="Cancel job").click()
    window.get_by_role("dialog", name="Cancel this job?").wait_for()
    assert findings(window) == []


def test_a_job_that_failed(window: Page, furnished: Furnished) -> None:
    open_job(window, furnished, furnished.failed)
    expect(window.get_by_role("main")).to_contain_text("the evaluator is gone")
    assert findings(window) == []


def test_a_job_that_was_trained_in_full(window: Page, furnished: Furnished) -> None:
    number = furnished.service.client.get(f"/v1/jobs/{furnished.checked.id}/front").json()["knee"]
    open_job(window, furnished, furnished.checked, f"?trial={number}")
    window.get_by_role("heading", name=f"Trial {number}").wait_for()
    unfold(window)
    assert findings(window) == []


def test_a_job_that_nobody_knows(window: Page, furnished: Furnished, watch: Watch) -> None:
    watch.expected.append("404")
    window.goto(f"{furnished.service.url}/jobs/j-nobody")
    window.get_by_role("heading", name="No such job").wait_for()
    assert findings(window) == []


def test_the_form_with_what_is_to_be_mended(window: Page, furnished: Furnished) -> None:
    query = f"search_space=smoke&dataset=language-identification&device={DEVICE}&batch=1&input_length=16"
    window.goto(f"{furnished.service.url}/new?{query}")
    expect(window.locator(".job-preview code")).to_contain_text("search_space", timeout=PATIENCE_MS)
    unfold(window)
    window.locator('tr[data-metric="parameters"]').get_by_role("textbox").fill("many")
    expect(window.locator('tr[data-metric="parameters"] .field-problem')).not_to_be_empty()
    assert findings(window) == []


def test_the_devices(window: Page, furnished: Furnished) -> None:
    window.goto(f"{furnished.service.url}/devices")
    window.locator(f'tr[data-device="{DEVICE}"]').wait_for()
    unfold(window)
    assert findings(window) == []


@pytest.mark.parametrize("name", [DEVICE, "bare"])
def test_a_device_with_tables_and_one_without(window: Page, furnished: Furnished, name: str) -> None:
    window.goto(f"{furnished.service.url}/devices/{name}")
    window.get_by_role("heading", name=name, level=1).wait_for()
    if name == DEVICE:
        window.locator(".accuracy-chart .main-svg").first.wait_for()
    unfold(window)
    assert findings(window) == []


def test_jobs_over_each_other(window: Page, furnished: Furnished) -> None:
    window.goto(f"{furnished.service.url}/compare?jobs={furnished.searching.id},{furnished.checked.id}")
    window.locator(".compare-chart .main-svg").first.wait_for()
    unfold(window)
    assert findings(window) == []


def test_two_architectures_side_by_side(window: Page, furnished: Furnished) -> None:
    window.goto(f"{furnished.service.url}/compare?trials={furnished.searching.id}:0,{furnished.searching.id}:4")
    window.get_by_role("table").first.wait_for()
    unfold(window)
    assert findings(window) == []


def test_what_to_compare_with(window: Page, furnished: Furnished) -> None:
    for query in ("", f"?trials={furnished.searching.id}:0"):
        window.goto(f"{furnished.service.url}/compare{query}")
        expect(window.locator("main .loading")).to_have_count(0)
        assert findings(window) == []


def test_signing_in_with_a_key_that_is_wrong(window: Page, tmp_path: Path, watch: Watch) -> None:
    watch.expected.append("401")
    with serving(tmp_path, require_keys=True, admin_key="0123456789abcdef" * 2) as guarded:
        window.goto(guarded.url)
        window.get_by_label("Your key").fill("pf_wrong")
        window.keyboard.press("Enter")
        expect(window.get_by_role("dialog").get_by_role("alert")).to_contain_text("not one of this service's")
        assert findings(window) == []


def test_what_is_wrong_is_found(page: Page, furnished: Furnished) -> None:
    page.goto(furnished.service.url)
    page.locator("tr").nth(1).wait_for()
    page.evaluate("document.querySelector('input[type=checkbox]').removeAttribute('aria-label')")
    page.evaluate("document.querySelector('h1').style.color = 'var(--line)'")
    assert {line.split(": ")[1] for line in findings(page)} == {"label", "color-contrast"}
