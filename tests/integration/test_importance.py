"""Which choices matter, over HTTP and on the command line, of trials recorded through the store."""

import pytest
from api_examples import RecordingWorker, job_document
from api_service import serving
from cli_runner import nas

from nas.architecture import Architecture
from nas.client import Client
from nas.jobs.catalogue import submit


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("importance") / "nas.db") as service:
        yield service


def searched(service, error_of, count=14, **changes):
    """A job whose candidates have the error rate that their architecture alone says."""
    worker = RecordingWorker(service.store, submit(service.store, job_document(**changes))[0])
    step = len(worker.feasible) // count
    worker.feasible[:count] = worker.feasible[::step][:count]
    for architecture in list(worker.feasible[:count]):
        assert isinstance(architecture, Architecture)
        worker.complete(error_of(architecture))
    return worker


def importance_of(service, worker):
    answer = service.client.get(f"/v1/jobs/{worker.job.id}/importance")
    answer.raise_for_status()
    return answer.json()


def test_the_choice_that_decides_the_quality_explains_it_and_costs_have_reasons_of_their_own(service):
    worker = searched(service, lambda a: 0.9 - a.encoder.hidden_size / 200)
    found = importance_of(service, worker)
    error, cost = found["objectives"]
    assert (error["objective"], error["model"]["trials"]) == ("error_rate", 14)
    assert error["model"]["explains"] > 0.9
    assert error["choices"][0]["choice"] == "hidden_size"
    assert error["choices"][0]["share"] > 0.9
    assert cost["model"] is None
    assert cost["choices"][0]["choice"] == "hidden_size"
    assert 0 < cost["choices"][0]["share"] < 0.9  # parameters, of which depth decides, too
    assert 0 < found["within_limits"] <= found["sampled"]


def test_the_hypervolume_grows_to_what_it_is_now(service):
    worker = searched(service, lambda a: 0.9 - a.encoder.hidden_size / 200)
    path = f"/v1/jobs/{worker.job.id}/hypervolume"
    assert service.client.get(path).json() == {"evaluated": 14, "steps": None}
    box = {"point": {"error_rate": 1.0, "parameters": 1e5}, "ideal": {"error_rate": 0.0, "parameters": 0.0}}
    worker.store.set_reference(worker.job.id, worker.job.lease_token, box)
    worker.complete(0.01)
    answer = service.client.get(path)
    found = answer.json()
    assert service.client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert found["evaluated"] == 15
    volumes = [step["hypervolume"] for step in found["steps"]]
    assert volumes == sorted(set(volumes))
    assert [step["evaluations"] for step in found["steps"]] == [step["trial"] + 1 for step in found["steps"]]
    assert volumes[-1] == pytest.approx(service.client.get(f"/v1/jobs/{worker.job.id}/front").json()["hypervolume"])
    with Client(service.url) as client:
        assert client.hypervolume(worker.job.id) == found


def test_too_few_evaluations_say_nothing_of_the_quality(service):
    worker = searched(service, lambda a: 0.5 - a.encoder.depth / 100, count=4)
    error, cost = importance_of(service, worker)["objectives"]
    assert error["model"] is error["choices"] is None
    assert cost["choices"]
    told = nas("jobs", "importance", worker.job.id, "--url", service.url)
    assert told.code == 0, told.err
    assert "Too little is known of error_rate to say anything." in told.out


def test_the_command_line_tells_it_in_words_and_a_table(service):
    worker = searched(service, lambda a: 0.5 - a.encoder.depth / 100)
    told = nas("jobs", "importance", worker.job.id, "--url", service.url)
    assert told.code == 0, told.err
    assert "error_rate is what a model of 14 evaluations expects" in told.out
    assert "depth" in told.out
    as_json = nas("jobs", "importance", worker.job.id, "--url", service.url, "--json")
    assert as_json.json == importance_of(service, worker)
    missing = nas("jobs", "importance", "j-missing", "--url", service.url)
    assert missing.code == 1
    assert "j-missing" in missing.err
