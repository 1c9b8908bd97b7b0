"""The form that submits a job, in a real browser."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from dashboard_service import Service, Watch, serving
from playwright.sync_api import Locator, Page, expect
from recorded_jobs import DEVICE, LATENCY, RecordedJob, add_device, job_document

from nas.documents import parse_document
from nas.store.keys import Role

pytestmark = pytest.mark.browser

PATIENCE_MS = 30_000
"""A server's first look at every space and dataset takes some seconds."""
QUERY = f"?search_space=smoke&dataset=language-identification&device={DEVICE}&batch=1&input_length=16"


class Form:
    """The form in a window."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.preview = page.get_by_role("complementary", name="The job as a file")
        self.submit = page.get_by_role("button", name="Submit job")

    def open(self, query: str = QUERY, url: str = "") -> Form:
        self.page.goto(f"{url}/new{query}")
        expect(self.preview.locator("code")).to_contain_text("search_space", timeout=PATIENCE_MS)
        return self

    def metric(self, name: str) -> Locator:
        return self.page.locator(f'tr[data-metric="{name}"]')

    def limit(self, name: str, value: str) -> None:
        self.metric(name).get_by_role("textbox").fill(value)

    def problem(self, path: str) -> Locator:
        return self.page.locator(f'[data-path="{path}"] .field-problem')

    def document(self) -> dict[str, Any]:
        """The job as the page shows it in YAML."""
        return parse_document(self.preview.locator("code").inner_text())


@pytest.fixture
def form(page: Page) -> Form:
    return Form(page)


def test_a_job_is_submitted_as_the_page_shows_it(form: Form, page: Page, service: Service) -> None:
    page.goto("/")
    page.get_by_role("banner").get_by_role("link", name="New job").click()
    form.open()
    page.get_by_label("Name of the job").fill("from the form")
    form.limit("parameters", "24,000")
    page.get_by_label("Trials").fill("7")
    page.get_by_role("checkbox", name=re.compile("Promotion")).check()
    page.get_by_text("More settings").click()
    page.get_by_label("Seed", exact=True).fill("3")
    expect(form.preview.locator("code")).to_contain_text("seed: 3")
    shown = form.document()
    form.submit.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("from the form")
    job = service.client.get("/v1" + urlsplit(page.url).path).json()
    sent = job["document"]
    assert sent["objectives"] == ["error_rate", LATENCY]
    assert (sent["constraints"], sent["budget"]["trials"], sent["seed"]) == (["parameters <= 24000"], 7, 3)
    # What the document leaves out is the server's usual
    assert sent["promotion"]["rungs"] == 3
    assert shown["promotion"] == {}
    assert shown["workload"].items() <= sent["workload"].items()
    assert {name: sent[name] for name in ("name", "search_space", "devices", "seed")} == {
        name: shown[name] for name in ("name", "search_space", "devices", "seed")
    }


def test_every_metric_shows_what_the_server_says_it_reaches(form: Form, service: Service) -> None:
    form.open()
    told = service.client.post("/v1/check", json=form.document()).json()
    assert {m["name"] for m in told["metrics"]} >= {"error_rate", LATENCY, "parameters", "macs"}
    for metric in told["metrics"]:
        row = form.metric(metric["name"])
        if metric["reach"]:
            title = row.locator(".metric-reach").get_attribute("title") or ""
            shown = [float(n) for n in re.findall(r"[\d.]+", title.replace(",", ""))]
            assert shown == pytest.approx([metric["reach"]["lowest"], metric["reach"]["highest"]], rel=1e-5)
        elif metric["kind"] == "quality":
            expect(row.locator(".metric-reach")).to_have_text(f"guessing scores {metric['chance']:.3g}")
    expect(form.page.locator(".space-size")).to_have_text(f"{told['search_space']['size_text']} architectures")
    assert told["search_space"]["size"] == 144


def test_wrong_input_is_marked_where_it_is_in_the_servers_words_and_kept(form: Form, page: Page) -> None:
    form.open()
    page.get_by_label("Trials").fill("many")
    form.limit("parameters", "3")
    page.get_by_label("Input length").fill("17")
    expect(form.problem("budget.trials")).to_contain_text("a valid integer")
    expect(form.metric("parameters")).to_contain_text("a limit of at least 6059")
    devices = page.get_by_role("group", name="Devices")
    expect(devices).to_contain_text(f"nas device profile {DEVICE} --space smoke")
    expect(form.metric(LATENCY)).to_contain_text("no table covers this yet")
    page.get_by_role("button", name="batch 1, 16 tokens in").click()
    expect(page.get_by_label("Input length")).to_have_value("16")
    expect(devices).not_to_contain_text("nas device profile")
    expect(page.get_by_label("Trials")).to_have_value("many")
    expect(form.metric("parameters").get_by_role("textbox")).to_have_value("3")
    page.get_by_label("Trials").fill("5")
    expect(form.problem("budget.trials")).to_be_empty()


def test_a_refused_submission_keeps_the_form_and_goes_to_the_wrong_field(
    form: Form, page: Page, watch: Watch, service: Service
) -> None:
    watch.expected.append("422")
    before = service.client.get("/v1/jobs?limit=1").json()["jobs"][:1]
    form.open()
    page.get_by_label("Name of the job").fill("refused")
    page.get_by_label("Training steps").fill("0")
    form.submit.click()
    expect(page.get_by_label("Training steps")).to_be_focused()
    expect(form.problem("task.training.steps")).to_contain_text("greater than or equal to 1")
    expect(page.get_by_label("Name of the job")).to_have_value("refused")
    assert service.client.get("/v1/jobs?limit=1").json()["jobs"][:1] == before
    page.get_by_label("Training steps").fill("2")
    form.submit.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("refused")


def test_however_often_the_button_is_pressed_it_is_one_job(form: Form, page: Page, service: Service) -> None:
    form.open()
    page.get_by_label("Name of the job").fill("pressed twice")
    # As if the first answer were lost: the page's own guard against a second press is taken away
    keys = []
    page.on("request", lambda r: keys.append(r.headers.get("idempotency-key")) if r.url.endswith("/v1/jobs") else None)
    with page.expect_navigation(url=re.compile("/jobs/j-")):
        page.evaluate(
            """() => {
                const button = document.querySelector(".new-job button[type=submit]");
                button.click();
                button.disabled = false;
                button.click();
            }"""
        )
    names = [job["name"] for job in service.client.get("/v1/jobs?limit=200").json()["jobs"]]
    assert names.count("pressed twice") == 1
    assert len(keys) == 2
    assert keys[0]
    assert keys[0] == keys[1]


def test_what_is_worth_sharing_is_in_the_address_and_survives_a_reload(form: Form, page: Page) -> None:
    form.open("")
    page.get_by_label("Dataset").select_option("python-docs")
    expect(page.get_by_label("Search space")).to_have_value("causal-decoder")
    page.get_by_label("Input length").fill("40")
    expect(form.preview.locator("code")).to_contain_text("input_length: 40", timeout=PATIENCE_MS)
    asked = parse_qs(urlsplit(page.url).query)
    assert (asked["dataset"], asked["search_space"], asked["input_length"]) == (
        ["python-docs"],
        ["causal-decoder"],
        ["40"],
    )
    page.reload()
    expect(page.get_by_label("Dataset")).to_have_value("python-docs")
    expect(page.get_by_label("Input length")).to_have_value("40")
    expect(form.metric("bits_per_byte")).to_be_visible(timeout=PATIENCE_MS)


def test_a_space_that_the_dataset_does_not_fit_is_said_by_its_field(form: Form) -> None:
    form.open("?dataset=python-docs&search_space=smoke")
    expect(form.problem("search_space")).to_contain_text("a space of family decoder")


def test_one_like_another_job_has_all_of_it(form: Form, page: Page, service: Service) -> None:
    document = job_document(
        name="the first",
        constraints=["parameters <= 24000", "parameters >= 7000", f"latency_upper_ms@{DEVICE} <= 1"],
        seed=5,
        budget={"trials": 9, "plateau": {"evaluations": 4, "gain": 0.01}},
        memory=False,
    )
    job = service.client.post("/v1/jobs", json=document).json()
    page.goto(job["links"]["page"])
    page.get_by_role("link", name="Submit one like it").click()
    expect(form.preview.locator("code")).to_contain_text("the first again")
    again = form.document()
    assert again == job["document"] | {"name": "the first again"}
    expect(page.locator(".further-limits")).to_contain_text("parameters >= 7000")
    page.locator(".further-limits li").filter(has_text="latency_upper").get_by_role("button").click()
    expect(form.preview.locator("code")).not_to_contain_text("latency_upper")
    form.submit.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("the first again")
    kept = service.client.get("/v1" + urlsplit(page.url).path).json()["document"]
    assert kept["constraints"] == ["parameters <= 24000", "parameters >= 7000"]
    assert (kept["budget"], kept["memory"], kept["seed"]) == (job["document"]["budget"], False, 5)


def test_the_curl_command_submits_the_same_job(form: Form, page: Page, service: Service) -> None:
    form.open()
    page.get_by_label("Name of the job").fill("it's by $HOME `curl`")
    expect(form.preview.locator("code")).to_contain_text("$HOME")
    shown = form.document()
    form.preview.get_by_role("button", name="curl", exact=True).click()
    form.preview.get_by_role("button", name="Copy the curl command").click()
    command = page.evaluate("navigator.clipboard.readText()")
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    assert '"state":"queued"' in done.stdout, done.stdout + done.stderr
    newest = service.client.get("/v1/jobs?limit=1").json()["jobs"][0]
    assert newest["name"] == shown["name"] == "it's by $HOME `curl`"
    assert newest["document"]["objectives"] == shown["objectives"]


def test_a_key_that_may_only_read_is_told_so_and_can_still_check(page: Page, watch: Watch, tmp_path: Path) -> None:
    watch.expected.append("401")
    with serving(tmp_path, require_keys=True, admin_key="0123456789abcdef" * 2) as guarded:
        add_device(guarded.store)
        _, secret = guarded.store.add_key("reader", Role.READ, "the test")
        page.goto(f"{guarded.url}/new")
        page.get_by_label("Your key").fill(secret)
        page.keyboard.press("Enter")
        expect(page.get_by_role("note")).to_contain_text("has the role read")
        expect(page.get_by_role("button", name="Submit job")).to_be_disabled()
        expect(page.locator('tr[data-metric="parameters"]')).to_contain_text("6.06 k to 26.6 k")
        page.get_by_role("button", name="curl", exact=True).click()
        expect(page.locator(".job-preview code")).to_contain_text("$POCKETFORMER_API_KEY")


def test_an_empty_service_offers_the_form_and_a_job_without_a_device(page: Page, empty_service: Service) -> None:
    page.goto(empty_service.url)
    page.get_by_role("link", name="Make the first one").click()
    form = Form(page)
    expect(form.preview.locator("code")).to_contain_text("macs", timeout=PATIENCE_MS)
    expect(page.get_by_role("group", name="Devices")).to_contain_text("nas device profile this-machine")
    form.submit.click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_url(re.compile("/jobs/j-"))
    assert len(empty_service.client.get("/v1/jobs").json()["jobs"]) == 1


@pytest.fixture(autouse=True)
def _nothing_runs(page: Page) -> Iterator[None]:
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
    return


def test_markup_in_an_address_or_a_job_is_text(form: Form, page: Page, service: Service) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    form.open(f"?search_space={hostile}&device={hostile}")
    expect(form.problem("search_space")).not_to_be_empty()
    job = RecordedJob.queued(service.store, name=hostile)
    form.open(f"?like={job.id}")
    expect(page.get_by_label("Name of the job")).to_have_value(f"{hostile} again")
    assert page.locator("[onerror], main img").count() == 0
