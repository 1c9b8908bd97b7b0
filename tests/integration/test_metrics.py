"""What Prometheus reads of a real service, the dashboard made of it, and the table that explains it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_examples import job_document
from api_service import Service, serving
from prometheus_client.parser import text_string_to_metric_families

from nas.store.records import JobRecord, NewTrial, TrialOutcome, TrialState

ROOT = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/pocketformer.json").read_text())
OF_PROMETHEUS = {"up"}
"""What Prometheus itself adds to everything that it scrapes."""

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(service: Service) -> Samples:
    """Return what `/metrics` tells, by name and sorted labels."""
    families = text_string_to_metric_families(service.client.get("/metrics").text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(told: Samples, name: str, **labels: str) -> float:
    return told[name, tuple(sorted(labels.items()))]


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    return job_document()


@pytest.fixture
def claimed(tmp_path: Path, job: dict[str, Any]) -> Iterator[tuple[Service, JobRecord]]:
    """A service with two jobs, of which a worker has taken one."""
    with serving(tmp_path / "x.db") as service:
        for _ in range(2):
            assert service.client.post("/v1/jobs", json=job).status_code == 201
        record = service.store.claim_job("worker-1", 60)
        assert record is not None
        yield service, record


def record_trial(service: Service, job: JobRecord, number: int, outcome: TrialOutcome) -> None:
    new = NewTrial(number, TrialState.RUNNING, {}, f"a-{number}", {"macs": 1.0}, {})
    service.store.add_trial(job.id, job.lease_token, new)
    service.store.finish_trial(job.id, job.lease_token, number, outcome, None)


def test_jobs_leases_trials_and_evaluations_are_told(claimed: tuple[Service, JobRecord]) -> None:
    service, job = claimed
    for number, duration_s in enumerate((0.5, 20.0)):
        record_trial(service, job, number, TrialOutcome(TrialState.COMPLETE, {"macs": 1.0}, None, None, duration_s))
    record_trial(service, job, 2, TrialOutcome(TrialState.FAILED, {"macs": 1.0}, None, "it failed", 7.0))
    told = samples(service)
    assert value(told, "pocketformer_jobs", state="queued") == 1
    assert 0 < value(told, "pocketformer_queue_oldest_wait_seconds") < 60
    assert value(told, "pocketformer_leases", status="held") == 1
    assert value(told, "pocketformer_leases", status="expired") == 0
    assert value(told, "pocketformer_trials", state="complete") == 2
    assert value(told, "pocketformer_trials", state="failed") == 1
    name = "pocketformer_recent_evaluation_seconds"
    complete = {"kind": "trial", "state": "complete"}
    counts = {limit: value(told, f"{name}_bucket", le=limit, **complete) for limit in ("1.0", "10.0", "30.0", "+Inf")}
    assert counts == {"1.0": 1, "10.0": 1, "30.0": 2, "+Inf": 2}
    assert value(told, f"{name}_gcount", **complete) == 2
    assert value(told, f"{name}_gsum", **complete) == 20.5
    assert value(told, f"{name}_gsum", kind="trial", state="failed") == 7.0
    assert value(told, f"{name}_gcount", kind="retraining", state="complete") == 0


def test_another_server_of_the_same_database_and_the_next_one_tell_the_same(claimed: tuple[Service, JobRecord]) -> None:
    service, job = claimed
    record_trial(service, job, 0, TrialOutcome(TrialState.COMPLETE, {"macs": 1.0}, None, None, 3.0))
    with serving(service.database) as beside:
        told, again = samples(service), samples(beside)
    changing = ("pocketformer_http", "pocketformer_queue_oldest_wait")
    assert {key: told[key] for key in told if not key[0].startswith(changing)} == {
        key: again[key] for key in again if not key[0].startswith(changing)
    }
    assert value(again, "pocketformer_recent_evaluation_seconds_gsum", kind="trial", state="complete") == 3.0


def test_the_dashboard_asks_for_nothing_that_the_service_does_not_tell(service: Service) -> None:
    service.client.get("/v1/jobs")  # requests are told of once there was one
    names = {name for name, _ in samples(service)}
    asked = {
        name for panel in DASHBOARD["panels"] for target in panel["targets"] for name in metrics_of(target["expr"])
    }
    assert asked - OF_PROMETHEUS <= names
    families = {re.sub(r"_(bucket|count|sum|total|gcount|gsum|created)$", "", name) for name in names}
    shown = {re.sub(r"_(bucket|count|sum|total|gcount|gsum)$", "", name) for name in asked}
    assert {name for name in families if name.startswith("pocketformer_")} <= shown


def metrics_of(expression: str) -> set[str]:
    """Return the metrics of an expression: names that are neither called, nor words of PromQL, nor in its labels."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|without)\s*\([^)]*\)", " ", expression)
    return set(re.findall(r"(?<![\w$])[a-zA-Z_][\w:]*\b(?!\s*\()", bare))


def test_metrics_are_found_in_expressions() -> None:
    expression = 'topk(3, sum by (le) (rate(a_total{job="$job"}[5m])) / scalar(max(b:c)) / $processes)'
    assert metrics_of(expression) == {"a_total", "b:c"}


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    assert DASHBOARD["schemaVersion"] >= 39  # Grafana 11; later ones bring it up to theirs
    assert DASHBOARD.get("id") is None  # Grafana gives it one
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(panels)))
    assert used - {"__rate_interval"} == variables
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)  # no panel lies on another one
    assert max(x for x, _ in cells) < 24
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_every_metric_is_explained_in_the_guide(service: Service) -> None:
    families = text_string_to_metric_families(service.client.get("/metrics").text)
    told = {re.sub(r"_(created|gcount|gsum)$", "", family.name) for family in families}
    guide = (ROOT / "docs/operations.md").read_text()
    rows = {name.removesuffix("_total") for name in re.findall(r"^\| `(pocketformer_\w+)", guide, re.MULTILINE)}
    assert rows == told
