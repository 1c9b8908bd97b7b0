"""The list of jobs in a real browser."""

from __future__ import annotations

import pytest
from dashboard_service import Service, Watch
from playwright.sync_api import Locator, Page, expect
from recorded_jobs import LATENCY, RecordedJob, job_document

from nas.store.records import JobState

pytestmark = pytest.mark.browser

BOX = ({"error_rate": 1.0, LATENCY: 1.0}, {"error_rate": 0.0, LATENCY: 0.0})


def row_of(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def test_a_job_is_listed_with_the_numbers_of_the_api(page: Page, service: Service) -> None:
    job = RecordedJob(service.store, name="listed")
    job.set_reference(*BOX)
    for error_rate in (0.9, 0.5, 0.3):
        job.complete(error_rate)
    page.goto("/")
    row = row_of(page, "listed")
    progress = service.client.get(f"/v1/jobs/{job.id}").json()["progress"]
    expect(row).to_contain_text("running")
    expect(row).to_contain_text("smoke · language-identification")
    expect(row).to_contain_text("3 / 20")
    expect(row.locator(".col-front")).to_have_text(str(progress["front_size"]))
    expect(row.locator(".col-volume")).to_have_text(f"{progress['hypervolume']:.3f}")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("listed")


def test_a_running_job_is_kept_up_to_date_without_reload(page: Page, service: Service) -> None:
    job = RecordedJob(service.store, name="grows")
    page.goto("/")
    row = row_of(page, "grows")
    expect(row).to_contain_text("0 / 20")
    job.complete(0.4)
    expect(row).to_contain_text("1 / 20")
    job.finish(JobState.FAILED, "the disk is full")
    RecordedJob.queued(service.store, name="comes later")
    expect(row).to_contain_text("failed")
    expect(row_of(page, "comes later")).to_contain_text("queued")


def test_a_job_that_is_deleted_leaves_the_list_without_reload(page: Page, service: Service) -> None:
    kept, gone = (RecordedJob.queued(service.store, name=name) for name in ("stays", "leaves"))
    page.goto("/")
    expect(row_of(page, "leaves")).to_be_visible()
    for job in (kept, gone):
        service.store.request_pause(job.id)
    expect(row_of(page, "leaves")).to_contain_text("paused")
    service.store.delete_job(gone.id)
    expect(row_of(page, "leaves")).to_have_count(0)
    expect(row_of(page, "stays")).to_be_visible()


def test_older_jobs_are_loaded_on_demand(page: Page, service: Service) -> None:
    document = service.store.job(RecordedJob.queued(service.store, name="oldest of many").id).document
    for index in range(31):
        service.store.add_job(f"many {index}", document | {"spec": job_document(name=f"many {index}")})
    page.goto("/")
    expect(page.get_by_role("link", name="many 30", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="oldest of many")).to_have_count(0)
    page.get_by_role("button", name="Load more").click()
    expect(page.get_by_role("link", name="oldest of many")).to_be_visible()
    addresses = page.locator("a[href^='/jobs/']").evaluate_all("(links) => links.map((link) => link.href)")
    assert len(addresses) == len(set(addresses)) > 31


def test_without_jobs_the_page_says_how_to_begin(page: Page, empty_service: Service) -> None:
    page.goto(empty_service.url)
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("nas search job.yaml")
    expect(page.get_by_role("main")).to_contain_text(f"curl -X POST {empty_service.url}/v1/jobs")


def test_a_lost_server_is_said_and_its_return_noticed(page: Page, service: Service, watch: Watch) -> None:
    watch.expected.append("net::ERR_FAILED")
    RecordedJob.queued(service.store, name="during an outage")
    page.goto("/")
    expect(row_of(page, "during an outage")).to_be_visible()
    page.route("**/v1/**", lambda route: route.abort())
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("can't be reached")
    page.unroute("**/v1/**")
    expect(notice).to_have_count(0)


def test_the_pages_allow_no_inline_code_and_no_other_host(service: Service) -> None:
    for path in ("/", "/jobs/j-0"):
        policy = service.client.get(path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
