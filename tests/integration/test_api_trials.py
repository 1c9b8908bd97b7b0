"""Trials, fronts and downloads over HTTP, of a job whose trials were recorded through the store."""

from __future__ import annotations

import re

import pytest
from api_examples import RecordingWorker, job_document
from api_service import Service

from nas.architecture import Architecture
from nas.documents import parse_document
from nas.export.weights import weights_from_bytes
from nas.models import build_model
from nas.store.records import JobState

ERRORS = (0.9, 0.5, 0.7, 0.3)


class Recorded:
    """A job with four complete trials, a duplicate, a failed and a running one."""

    def __init__(self, service: Service) -> None:
        self.client = service.client
        summary = service.client.post("/v1/jobs", json=job_document()).json()
        self.path = summary["links"]["self"]
        self.worker = RecordingWorker(service.store, service.store.job(summary["id"]))
        self.worker.store.set_reference(
            summary["id"],
            self.worker.job.lease_token,
            {"point": {"error_rate": 1.0, "parameters": 24000.0}, "ideal": {"error_rate": 0.0, "parameters": 0.0}},
        )
        for error_rate in ERRORS:
            self.worker.complete(error_rate, weights=True)
        self.duplicate = self.worker.skip_as_duplicate_of(1)
        self.failed = self.worker.start()
        self.worker.fail(self.failed, "TrainingDiverged: the loss is not finite")
        self.running = self.worker.start()


@pytest.fixture(scope="module")
def job(service: Service) -> Recorded:
    return Recorded(service)


def test_the_summary_counts_every_kind_of_trial(job: Recorded) -> None:
    progress = job.client.get(job.path).json()["progress"]
    assert progress["evaluated"] == 5
    assert progress["failed"] == 1
    assert progress["running"] == 1
    assert progress["skipped"] == {"duplicate": 1, "over_limit": 0}
    assert 0 < progress["hypervolume"] < 1


def test_pages_of_trials_hold_each_number_once(job: Recorded) -> None:
    numbers: list[int] = []
    after = -1
    while True:
        page = job.client.get(f"{job.path}/trials", params={"after": after, "limit": 3}).json()
        numbers += [trial["number"] for trial in page["trials"]]
        if page["next_after"] is None:
            break
        after = page["next_after"]
    assert numbers == list(range(7))


def test_trials_are_listed_by_state(job: Recorded) -> None:
    def numbers(state: str) -> list[int]:
        page = job.client.get(f"{job.path}/trials", params={"state": state}).json()
        return [trial["number"] for trial in page["trials"]]

    assert numbers("complete") == [0, 1, 2, 3]
    assert numbers("skipped") == [job.duplicate]
    assert numbers("failed") == [job.failed]
    assert numbers("running") == [job.running]


def test_a_trial_tells_costs_as_whole_numbers_and_where_its_files_are(job: Recorded) -> None:
    trial = job.client.get(f"{job.path}/trials/3").json()
    architecture = Architecture.from_dict(trial["architecture"])
    assert trial["architecture_id"] == architecture.id
    assert trial["metrics"]["parameters"] == sum(p.numel() for p in build_model(architecture).parameters())
    assert isinstance(trial["metrics"]["parameters"], int)
    assert trial["metrics"]["error_rate"] == ERRORS[3]
    assert trial["training"]["history"] == [[1, 3.5], [3, 2.0]]
    assert trial["quality_label"] == "proxy"
    for link in ("self", "config_yaml", "config_json", "weights"):
        assert job.client.get(trial["links"][link]).status_code == 200


def test_the_front_holds_the_trials_that_no_other_beats(job: Recorded) -> None:
    front = job.client.get(f"{job.path}/front").json()
    trials = job.client.get(f"{job.path}/trials", params={"state": "complete"}).json()["trials"]
    points = {t["number"]: (t["metrics"]["error_rate"], t["metrics"]["parameters"]) for t in trials}
    expected = {
        n
        for n, (e, p) in points.items()
        if not any(e2 <= e and p2 <= p and (e2, p2) != (e, p) for e2, p2 in points.values())
    }
    assert {member["number"] for member in front["members"]} == expected
    assert front["knee"] in expected
    assert [m["metrics"]["parameters"] for m in front["members"]] == sorted(points[n][1] for n in expected)
    assert all(member["on_front"] for member in front["members"])


def test_the_front_can_be_asked_under_other_objectives_and_limits(job: Recorded) -> None:
    front = job.client.get(f"{job.path}/front", params={"objectives": "error_rate,macs"}).json()
    assert [o["name"] for o in front["objectives"]] == ["error_rate", "macs"]
    strict = job.client.get(
        f"{job.path}/front", params={"constraint": ["error_rate <= 0.6", "error_rate >= 0.4"]}
    ).json()
    assert [member["metrics"]["error_rate"] for member in strict["members"]] == [0.5]
    unknown = job.client.get(f"{job.path}/front", params={"objectives": "error_rate,speed"})
    assert unknown.status_code == 422
    assert unknown.json()["errors"][0]["field"] == "objectives[1]"
    assert "error_rate" in unknown.json()["errors"][0]["allowed"]
    nonsense = job.client.get(f"{job.path}/front", params={"constraint": "parameters << 3"})
    assert nonsense.status_code == 422
    assert nonsense.json()["errors"][0]["field"] == "constraint[0]"


@pytest.mark.parametrize("resource", ["front", "trials"])
def test_a_poll_without_news_is_answered_304_until_something_happens(service: Service, resource: str) -> None:
    job = Recorded(service)
    first = job.client.get(f"{job.path}/{resource}")
    held = {"If-None-Match": first.headers["etag"]}
    unchanged = job.client.get(f"{job.path}/{resource}", headers=held)
    assert unchanged.status_code == 304
    assert unchanged.content == b""
    assert unchanged.headers["etag"] == first.headers["etag"]
    job.worker.complete(0.01)
    changed = job.client.get(f"{job.path}/{resource}", headers=held)
    assert changed.status_code == 200
    assert changed.json() != first.json()


def test_the_configuration_is_the_same_document_as_yaml_and_as_json(job: Recorded) -> None:
    as_yaml = job.client.get(f"{job.path}/trials/1/config?format=yaml")
    as_json = job.client.get(f"{job.path}/trials/1/config?format=json")
    identifier = job.client.get(f"{job.path}/trials/1").json()["architecture_id"]
    assert as_yaml.headers["content-type"].startswith("application/yaml")
    assert as_json.headers["content-type"] == "application/json"
    assert as_yaml.headers["content-disposition"] == f'attachment; filename="{identifier}.yaml"'
    assert as_json.headers["content-disposition"] == f'attachment; filename="{identifier}.json"'
    assert parse_document(as_yaml.content) == as_json.json()
    assert as_json.json()["weights"]["href"].startswith(str(job.client.base_url))


def test_accept_decides_the_form_of_the_configuration_when_the_query_does_not(job: Recorded) -> None:
    path = f"{job.path}/trials/1/config"
    asked = job.client.get(path, headers={"Accept": "application/yaml"})
    assert asked.headers["content-type"].startswith("application/yaml")
    assert job.client.get(path).headers["content-type"] == "application/json"
    assert asked.headers["vary"] == "Accept"


def test_only_a_complete_trial_has_a_configuration(job: Recorded) -> None:
    for number in (job.duplicate, job.failed, job.running):
        answer = job.client.get(f"{job.path}/trials/{number}/config")
        assert answer.status_code == 409
        assert "only a complete trial" in answer.json()["detail"]


def test_weights_come_as_safetensors_that_fit_the_architecture(job: Recorded) -> None:
    answer = job.client.get(f"{job.path}/trials/2/weights")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert re.fullmatch(r'attachment; filename="a-[0-9a-f]{20}\.safetensors"', answer.headers["content-disposition"])
    trial = job.client.get(f"{job.path}/trials/2").json()
    model = build_model(Architecture.from_dict(trial["architecture"]))
    model.load_state_dict(weights_from_bytes(answer.content))
    assert job.client.get(f"{job.path}/trials/{job.failed}/weights").status_code == 404


def test_what_does_not_exist_is_not_found(job: Recorded) -> None:
    for path in (f"{job.path}/trials/99", f"{job.path}/trials/99/weights", "/v1/jobs/j-nothing/trials"):
        answer = job.client.get(path)
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:pocketformer:problem:not-found"


def test_a_cancelled_job_keeps_its_trials(service: Service) -> None:
    job = Recorded(service)
    record = job.worker.job
    service.store.finish_job(record.id, record.lease_token, JobState.CANCELLED, "cancelled")
    assert job.client.get(job.path).json()["state"] == "cancelled"
    trials = job.client.get(f"{job.path}/trials").json()["trials"]
    assert [trial["state"] for trial in trials].count("complete") == len(ERRORS)
    assert trials[job.running]["state"] == "failed"
