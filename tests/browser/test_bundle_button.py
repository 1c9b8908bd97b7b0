"""The bundle of a trial, made and saved from the page."""

import zipfile
from pathlib import Path

import pytest
from dashboard_service import Service
from job_window import JobWindow
from playwright.sync_api import Page, expect
from recorded_jobs import LATENCY, RecordedJob

from nas.export.bundle_report import read_report
from nas.export.config import read_config

pytestmark = pytest.mark.browser


def test_a_bundle_is_made_and_saved_by_one_button(page: Page, service: Service, tmp_path: Path) -> None:
    recorded = RecordedJob(service.store, name="to be bundled")
    recorded.set_reference({"error_rate": 1.0, LATENCY: 1.0}, {"error_rate": 0.0, LATENCY: 0.0})
    recorded.complete(0.5, weights=True)
    window = JobWindow(page, recorded.id)
    window.open()
    front = service.client.get(f"/v1/jobs/{recorded.id}/front").json()
    trial = front["members"][0]
    window.open_row(trial["number"])
    button = window.details.locator("[data-bundle]")
    with window.page.expect_download(timeout=180_000) as download:
        button.click()
        expect(button).to_be_disabled()
        expect(button).to_contain_text("Bundle: ")
        expect(button).to_contain_text("programs", timeout=60_000)
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    expect(button).to_have_text("Bundle")
    expect(button).to_be_enabled()
    assert file.name == f"{trial['architecture_id']}.zip"
    with zipfile.ZipFile(file) as archive:
        config = read_config(archive.read(f"{file.stem}/config.yaml"))
        report = read_report(archive.read(f"{file.stem}/report.json"))
    assert config.costs.parameters == trial["metrics"]["parameters"]
    assert {program.runtime for program in report.programs} == {"onnxruntime", "executorch"}
