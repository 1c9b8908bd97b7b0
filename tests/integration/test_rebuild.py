"""From the YAML alone and from the JSON alone: the same model, the same costs, the same quality."""

import json

import pytest

from nas.documents import parse_document
from nas.errors import InvalidInput, PocketformerError
from nas.export.config import read_config
from nas.export.rebuild import fetch_weights, rebuild
from nas.jobs.worker import Worker
from tests.integration.api_examples import job_document
from tests.integration.api_service import serving


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A server with one finished job, and the address of its first evaluated trial."""
    with serving(tmp_path_factory.mktemp("rebuild") / "nas.db") as service:
        job = service.client.post("/v1/jobs", json=job_document(budget={"trials": 2})).json()
        Worker(service.store, processes=1).run_job(job["id"])
        trials = service.client.get(f"/v1/jobs/{job['id']}/trials?state=complete").json()["trials"]
        yield service, trials[0]


def config_text(finished, form):
    service, trial = finished
    return service.client.get(trial["links"][f"config_{form}"]).text


def test_yaml_and_json_are_one_document(finished):
    assert parse_document(config_text(finished, "yaml")) == json.loads(config_text(finished, "json"))


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_the_model_rebuilds_with_equal_id_costs_and_quality(finished, form):
    _, trial = finished
    config = read_config(config_text(finished, form))
    result = rebuild(config, weights=fetch_weights(config), measure_latency=False)
    rows = {row.name: row for row in result.rows}
    assert result.agrees
    assert rows["architecture"].rebuilt == trial["architecture_id"]
    assert rows["parameters"].rebuilt == trial["metrics"]["parameters"]
    assert rows["macs"].rebuilt == trial["metrics"]["macs"]
    error_rate = rows["error_rate (proxy, validation)"]
    assert error_rate.rebuilt == pytest.approx(trial["metrics"]["error_rate"], abs=1e-6)


def test_a_promise_that_is_not_kept_is_told(finished):
    document = parse_document(config_text(finished, "yaml"))
    document["costs"]["macs"] += 1
    document["quality"]["metrics"]["error_rate"] += 2e-6
    config = read_config(json.dumps(document))
    result = rebuild(config, weights=fetch_weights(config), measure_latency=False)
    assert not result.agrees
    wrong = {row.name for row in result.rows if not row.agrees}
    assert wrong == {"macs", "error_rate (proxy, validation)"}


def test_without_weights_quality_is_not_called_equal(finished):
    result = rebuild(read_config(config_text(finished, "yaml")), weights=None, measure_latency=False)
    assert not result.agrees
    assert {row.note for row in result.rows if row.agrees is None} == {"no weights were given"}


def test_other_weights_are_refused_by_their_sha256(finished):
    document = parse_document(config_text(finished, "yaml"))
    document["weights"]["sha256"] = "0" * 64
    with pytest.raises(InvalidInput, match="other weights"):
        fetch_weights(read_config(json.dumps(document)))


def test_an_address_that_does_not_answer_is_told_with_what_to_do(finished):
    document = parse_document(config_text(finished, "yaml"))
    document["weights"]["href"] = "http://127.0.0.1:9/weights"
    with pytest.raises(PocketformerError, match="--weights FILE"):
        fetch_weights(read_config(json.dumps(document)))


@pytest.mark.parametrize("href", ["file:///etc/passwd", "ftp://127.0.0.1/x", "weights.safetensors"])
def test_an_address_that_is_not_http_is_refused(finished, href):
    document = parse_document(config_text(finished, "yaml"))
    document["weights"]["href"] = href
    with pytest.raises(InvalidInput, match=r"weights\.href"):
        fetch_weights(read_config(json.dumps(document)))


def test_an_edited_architecture_is_not_taken_for_the_original(finished):
    document = parse_document(config_text(finished, "yaml"))
    document["architecture"]["encoder"]["layers"][0]["feed_forward_size"] += 1
    with pytest.raises(InvalidInput, match=r"config\.architecture\.id"):
        read_config(json.dumps(document))
