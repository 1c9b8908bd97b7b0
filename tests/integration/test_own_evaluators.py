"""Jobs with an evaluator of their own: allowed or not, promoted, failing in every way, and the example of the docs."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from api_examples import job_document
from api_service import serving
from cli_runner import nas
from processes import until

from nas.errors import InvalidInput
from nas.export.config import read_config
from nas.export.rebuild import rebuild
from nas.jobs.catalogue import finish, submit
from nas.jobs.delivery import config_of, weights_of
from nas.jobs.report import describe_job, front_of
from nas.jobs.worker import Worker
from nas.quality.training import decay_start
from nas.store.records import JobState, TrialState

FUNCTION = "own_scoring:evaluate"
SCORING = """
def evaluate(candidate):
    result = candidate.train()
    assert result.steps == candidate.plan.steps
    return {"skill": 1 - result.metrics["error_rate"], "steps_seen": candidate.plan.steps}
"""
METRICS = {
    "skill": {"direction": "maximize", "worst": 0.0, "best": 1.0},
    "steps_seen": {"direction": "minimize", "worst": 1000, "best": 0},
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder that evaluators are imported from, and a cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("POCKETFORMER_EVALUATORS", raising=False)
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "own_scoring.py").write_text(SCORING)
    monkeypatch.syspath_prepend(folder)  # evaluation processes have the path of their worker
    return folder


def own_job(function=FUNCTION, metrics=METRICS, steps=3, **changes):
    metric = next(iter(metrics))
    task = {
        "dataset": "language-identification",
        "metric": metric,
        "training": {"steps": steps, "batch_size": 8},
        "evaluator": {"function": function, "metrics": metrics},
    }
    return job_document(**{"task": task, "objectives": [metric, "macs"], "constraints": [], **changes})


def run(store, document, allowed=None):
    """Submit and run a job; return it as it ended."""
    allowed = [document["task"]["evaluator"]["function"]] if allowed is None else allowed
    job, _ = submit(store, document, evaluators=[document["task"]["evaluator"]["function"]])
    return Worker(store, processes=1, evaluators=allowed).run_job(job.id)


def test_what_an_evaluator_returns_is_the_quality_and_its_version_goes_with_it(store, folder):
    job = run(store, own_job(constraints=["skill >= 0.0001"], budget={"trials": 3}))
    assert job.state is JobState.SUCCEEDED, job.reason
    assert job.reference["point"]["skill"] == 0.0
    assert job.reference["ideal"]["skill"] == 1.0
    trials = store.trials(job.id, state=TrialState.COMPLETE)
    assert len(trials) == 3
    version = {
        "function": FUNCTION,
        "distribution": None,
        "version": None,
        "sha256": hashlib.sha256((folder / "own_scoring.py").read_bytes()).hexdigest(),
    }
    for trial in trials:
        assert trial.metrics["steps_seen"] == 3
        assert "error_rate" not in trial.metrics
        assert trial.training["evaluator"] == version
        assert trial.training["steps_taken"] == 3
        assert trial.weights_sha256 is not None
    front = front_of(store, job)
    shown = front["objectives"][0]
    assert (shown["name"], shown["label"], shown["direction"], shown["unit"]) == ("skill", "Skill", "maximize", "")
    best = max(trials, key=lambda t: (t.metrics["skill"], -t.metrics["macs"]))
    assert best.number in [member["number"] for member in front["members"]]
    assert 0 < describe_job(store, job)["progress"]["hypervolume"] <= 1
    config = read_config(json.dumps(config_of(store, job, best, None)))
    assert config.quality.evaluator.model_dump() == version
    assert config.quality.metrics == {"skill": best.metrics["skill"], "steps_seen": 3.0}
    rebuilt = rebuild(config, weights=weights_of(store, job, best)[0], measure_latency=False)
    assert [row.name for row in rebuilt.rows if row.agrees is False] == []
    notes = [row.note for row in rebuilt.rows if row.agrees is None]
    assert notes == [f"scored by {FUNCTION}, which rebuilding does not run"] * 2


def program(folder, *arguments):
    """Start `nas …` as a process of its own, with the folder on PYTHONPATH."""
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "nas.cli", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.long
def test_promotion_goes_on_from_rung_to_rung_under_an_evaluator(store, folder, tmp_path):
    promotion = {"rungs": 2, "reduction": 3, "cohort": 6}
    document = own_job(steps=12, promotion=promotion, budget={"trials": 6})
    job, _ = submit(store, document, evaluators=[FUNCTION])
    allowing = ("--evaluator", "other:evaluate", "--evaluator", FUNCTION)
    worker = program(folder, "worker", "--database", store.address, "--processes", 1, *allowing)
    until(lambda: store.job(job.id).state.is_final or worker.poll() is not None)
    worker.terminate()
    _, log = worker.communicate(timeout=20)
    job = store.job(job.id)
    assert job.state is JobState.SUCCEEDED, log
    trials = store.trials(job.id)
    for trial in trials:
        rungs = trial.training["rungs"]
        steps = [rung["steps"] for rung in rungs]
        assert [rung["metrics"]["steps_seen"] for rung in rungs] == steps == [4, 12][: len(steps)]
        assert (trial.state is TrialState.COMPLETE) == (len(steps) == 2)
        assert trial.training["steps_taken"] == decay_start(steps[-1]) + sum(n - decay_start(n) for n in steps)
        assert trial.training["evaluator"]["function"] == FUNCTION
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.STOPPED}
    assert list((tmp_path / "cache" / "pocketformer" / "trunks").glob("*")) == []


@pytest.mark.long
def test_finishing_scores_on_test_with_the_evaluator_where_it_is_allowed(store):
    job = run(store, own_job(budget={"trials": 2}))
    asked = {"steps": 6, "seeds": 1, "members": 1, "sample": 0}
    finish(store, job.id, asked)
    refused = Worker(store, processes=1).run_job(job.id)
    assert refused.state is JobState.SUCCEEDED  # as its search was
    assert "this worker does not allow" in refused.reason
    assert store.retrainings(job.id) == []
    finish(store, job.id, asked)
    job = Worker(store, processes=1, evaluators=[FUNCTION]).run_job(job.id)
    retrainings = store.retrainings(job.id)
    assert retrainings
    for record in retrainings:
        assert [score["metrics"]["steps_seen"] for score in record.scores] == [3, 6]
        assert set(record.test_metrics) == set(METRICS)
        assert record.test_metrics["skill"] != record.scores[-1]["metrics"]["skill"]
        assert record.training["evaluator"]["function"] == FUNCTION
        quality = read_config(json.dumps(config_of(store, job, store.trial(job.id, record.key.trial), None))).quality
        assert (quality.label, quality.split, quality.metrics) == ("tested", "test", record.test_metrics)
        assert quality.evaluator.function == FUNCTION


MISBEHAVING = """
CALLS = []

class Unreadable(Exception):
    def __str__(self):
        raise ZeroDivisionError

def evaluate(candidate):
    CALLS.append(candidate.architecture.id)
    match len(CALLS):
        case 1:
            raise ValueError("the moon is full")
        case 2:
            return {"skill": float("nan")}
        case 3:
            return {"skill": 0.5, "luck": 0.5}
        case 4:
            return {}
        case 5:
            raise SystemExit(3)
        case 6:
            raise KeyboardInterrupt
        case 7:
            raise Unreadable
        case 8:
            raise ValueError("x" * 1_000_000)
        case 9:
            return {"skill": "high"}
        case _:
            return {"skill": 1e-6 * sum(p.numel() for p in candidate.build().parameters())}
"""
SKILL = {"skill": METRICS["skill"]}


def test_every_failure_of_an_evaluator_is_its_trials_and_the_job_goes_on(store, folder):
    (folder / "misbehaving.py").write_text(MISBEHAVING)
    job = run(store, own_job("misbehaving:evaluate", SKILL, budget={"trials": 11}))
    assert job.state is JobState.SUCCEEDED, job.reason
    trials = [t for t in store.trials(job.id) if t.state is not TrialState.SKIPPED]
    assert [t.error for t in trials] == [
        "ValueError: the moon is full",
        "EvaluatorFailed: of what the evaluator returned, skill is nan, not a finite number",
        "EvaluatorFailed: of what the evaluator returned, 'luck' (0.5) is not declared in task.evaluator.metrics",
        "EvaluatorFailed: of what the evaluator returned, skill is missing",
        "SystemExit: 3",
        "KeyboardInterrupt: ",
        "Unreadable: its message can't be read (ZeroDivisionError)",
        "ValueError: " + "x" * 2000 + "… (1000000 characters)",
        "EvaluatorFailed: of what the evaluator returned, skill is 'high', not a finite number",
        None,
        None,
    ]
    assert all(t.training["evaluator"]["function"] == "misbehaving:evaluate" for t in trials)
    untrained = trials[-1]
    assert untrained.weights_sha256 is None
    assert (untrained.training["steps_taken"], untrained.training["history"]) == (0, [])
    assert read_config(json.dumps(config_of(store, job, untrained, None))).weights is None


@pytest.mark.long
def test_an_evaluator_that_ends_its_process_fails_its_trial(store, folder):
    (folder / "deadly.py").write_text("import os\n\ndef evaluate(candidate):\n    os._exit(1)\n")
    job = run(store, own_job("deadly:evaluate", SKILL, budget={"trials": 1}))
    (trial,) = store.trials(job.id, state=TrialState.FAILED)
    assert trial.error == "its process died 3 times"
    assert job.state is JobState.FAILED


@pytest.mark.parametrize(
    ("source", "reason"),
    [(None, "No module named 'faulty'"), ("import os\nos._exit(1)", "importing the evaluator faulty:evaluate ended")],
)
def test_a_module_that_can_not_be_imported_fails_the_job_at_once(store, folder, source, reason):
    if source is not None:
        (folder / "faulty.py").write_text(source)
    job = run(store, own_job("faulty:evaluate", SKILL))
    assert job.state is JobState.FAILED
    assert reason in job.reason
    assert store.trials(job.id) == []


def test_a_worker_does_not_trust_the_database_and_runs_only_what_it_allows(store, folder):
    job = run(store, own_job(), allowed=["other:evaluate"])
    assert job.state is JobState.FAILED
    assert f"--evaluator {FUNCTION}" in job.reason
    assert "it allows: other:evaluate" in job.reason
    assert store.trials(job.id) == []


def test_a_metric_that_the_evaluator_does_not_return_is_refused(store):
    document = own_job(objectives=["error_rate", "macs"])
    with pytest.raises(InvalidInput) as refused:
        submit(store, document, evaluators=[FUNCTION])
    assert [p.field for p in refused.value.problems] == ["objectives[0]"]
    document["task"]["metric"] = "error_rate"
    with pytest.raises(InvalidInput) as refused:
        submit(store, document, evaluators=[FUNCTION])
    (problem,) = refused.value.problems
    assert (problem.field, problem.allowed) == ("task.metric", "skill, steps_seen")


def test_a_server_refuses_what_its_operator_has_not_allowed(tmp_path):
    with serving(tmp_path / "closed.db") as service:
        answer = service.client.post("/v1/jobs", json=own_job())
        assert answer.status_code == 422
        (problem,) = answer.json()["errors"]
        assert problem["field"] == "task.evaluator.function"
        assert "no evaluators are allowed" in problem["allowed"]
        assert "POCKETFORMER_EVALUATORS" in problem["next_step"]
        assert service.client.get("/v1/jobs").json()["jobs"] == []
        wrong = own_job("own_scoring:evaluate; import os")
        (problem,) = service.client.post("/v1/jobs", json=wrong).json()["errors"]
        assert problem["field"] == "task.evaluator.function"


def test_a_server_with_a_worker_inside_runs_what_is_allowed_and_imports_nothing_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETFORMER_EVALUATORS", f"other:evaluate,{FUNCTION}")
    with serving(tmp_path / "open.db", embedded_worker=True) as service:
        job = service.client.post("/v1/jobs", json=own_job(budget={"trials": 2})).json()
        with service.client.stream("GET", job["links"]["events"], timeout=60) as events:
            assert b'"state":"succeeded"' in b"".join(events.iter_bytes())
        (member, *_) = service.client.get(job["links"]["front"]).json()["members"]
        trial = service.client.get(member["links"]["self"]).json()
        config = yaml.safe_load(service.client.get(member["links"]["config_yaml"]).text)
    assert trial["metrics"]["skill"] == config["quality"]["metrics"]["skill"]
    assert trial["training"]["evaluator"] == config["quality"]["evaluator"]
    assert trial["training"]["evaluator"]["function"] == FUNCTION
    assert "own_scoring" not in sys.modules


def test_an_operators_list_with_an_error_is_refused_when_the_program_starts(tmp_path, monkeypatch):
    for command in ("serve", "worker"):
        refused = nas(command, "--database", f"sqlite:///{tmp_path}/x.db", "--evaluator", "own_scoring.evaluate")
        assert refused.code == 2
        assert "package.module:function" in refused.err
    monkeypatch.setenv("POCKETFORMER_EVALUATORS", "own_scoring")
    assert nas("worker", "--database", f"sqlite:///{tmp_path}/x.db").code == 2


@pytest.mark.long
def test_the_example_of_the_documentation_runs_as_it_stands(folder, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "quality.md").read_text()
    section = page.split("## Your own evaluator\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (document,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    (folder / "mypackage").mkdir()
    # Nothing that it prints gets in among the JSON
    (folder / "mypackage" / "scoring.py").write_text(f"{code}\nprint('imported')\n")
    file = tmp_path / "job.yaml"
    file.write_text(document.replace("trials: 10", "trials: 2").replace("steps: 100", "steps: 5"))
    database, out = f"sqlite:///{tmp_path / 'nas.db'}", tmp_path / "found"
    search = program(folder, "search", file, "--database", database, "--processes", 1, "--out", out, "--json")
    found, log = search.communicate(timeout=120)
    assert search.returncode == 0, log
    assert "imported" in log
    members = json.loads(found)["front"]["members"]
    for member in members:
        metrics = member["metrics"]
        assert 0 < metrics["calibration_error"] < 1
        assert 0.5 < metrics["error_rate"] <= 0.99
    assert len(list(out.glob("*.safetensors"))) == len(members) > 0
