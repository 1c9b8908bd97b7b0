"""Own evaluators: how they are named, which are allowed, what they may return, and what they are given."""

import hashlib
import importlib.metadata
import math
import sys
from collections import UserDict
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from nas.documents import validate
from nas.errors import EvaluatorFailed, InvalidInput
from nas.jobs.evaluation import Assignment, trunk_file
from nas.quality.datasets import load_dataset
from nas.quality.evaluators import Candidate, EvaluatorSpec, allowed_functions, check_allowed, evaluator_version
from nas.quality.evaluators.allowed import check_function
from nas.quality.evaluators.scoring import checked_metrics
from nas.quality.plan import TrainingPlan
from nas.quality.score import score_weights
from nas.quality.training import train
from nas.space import SearchSpace
from nas.workload import Workload

DECLARED = {"direction": "minimize", "worst": 1.0, "best": 0.0}


@pytest.mark.parametrize("text", ["scoring:evaluate", "my_package.scoring:evaluate", "a.b.c:_d", "A1:B2"])
def test_a_function_is_written_as_module_and_name(text):
    assert check_function(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "scoring",
        "scoring:",
        ":evaluate",
        "scoring:evaluate\n",
        "scoring: evaluate",
        "scoring:evaluate()",
        "scoring:a.b",
        "scoring:a:b",
        ".scoring:evaluate",
        "my..scoring:evaluate",
        "../scoring:evaluate",
        "/tmp/scoring:evaluate",
        "my-package:evaluate",
        "1a:b",
        "scöring:evaluate",
        "a:" + "b" * 300,
        7,
        None,
    ],
)
def test_what_is_written_otherwise_is_refused_and_nothing_is_imported(text):
    with pytest.raises(InvalidInput) as refused:
        check_function(text, "task.evaluator.function")
    assert refused.value.problems[0].field == "task.evaluator.function"


def test_an_operators_list_may_have_commas_spaces_and_repetitions():
    assert allowed_functions(["a:b, c.d:e", "a:b", ""]) == ("a:b", "c.d:e")
    assert allowed_functions([]) == ()
    with pytest.raises(InvalidInput):
        allowed_functions(["a:b,*"])


@pytest.mark.parametrize("function", ["a.b:other", "a:evaluate", "a.b.c:evaluate", "A.b:evaluate", "a.b:evaluate2"])
def test_only_what_stands_in_the_list_to_the_letter_is_allowed(function):
    check_allowed("a.b:evaluate", ["a.b:evaluate"])
    with pytest.raises(InvalidInput) as refused:
        check_allowed(function, ["a.b:evaluate"])
    (problem,) = refused.value.problems
    assert (problem.field, problem.allowed) == ("task.evaluator.function", "a.b:evaluate")
    assert f"nas serve --evaluator {function}" in problem.next_step
    assert "POCKETFORMER_EVALUATORS" in problem.next_step
    with pytest.raises(InvalidInput, match="no evaluators are allowed"):
        check_allowed(function, [])


@pytest.mark.parametrize(
    ("metrics", "field"),
    [
        ({}, "metrics"),
        ({"latency_ms@phone": DECLARED}, "metrics"),
        ({"Calibration": DECLARED}, "metrics"),
        ({"a b": DECLARED}, "metrics"),
        ({"x" * 65: DECLARED}, "metrics"),
        ({"macs": DECLARED}, "metrics"),
        ({"kv_cache_mb": DECLARED}, "metrics"),
        ({f"m{i}": DECLARED for i in range(17)}, "metrics"),
        ({"accuracy": {**DECLARED, "direction": "up"}}, "metrics.accuracy.direction"),
        ({"accuracy": {**DECLARED, "direction": "maximize"}}, "metrics.accuracy.best"),
        ({"accuracy": {**DECLARED, "best": 1.0}}, "metrics.accuracy.best"),
        ({"accuracy": {**DECLARED, "unit": "%"}}, "metrics.accuracy.unit"),
        ({"accuracy": {"direction": "minimize", "best": 0.0}}, "metrics.accuracy.worst"),
        ({"error_rate": {"direction": "maximize", "worst": 0, "best": 1}}, "metrics.error_rate.direction"),
    ],
)
def test_a_declaration_that_says_too_little_or_takes_anothers_name_is_refused_by_field(metrics, field):
    with pytest.raises(InvalidInput) as refused:
        validate(EvaluatorSpec, {"function": "a:b", "metrics": metrics})
    assert [problem.field for problem in refused.value.problems] == [field]


def test_declared_metrics_are_described_as_those_of_tasks_are():
    higher = {"direction": "maximize", "worst": -1, "best": 3}
    spec = validate(EvaluatorSpec, {"function": "a:b", "metrics": {"top_5_score": higher, "loss": DECLARED}})
    own, known = spec.as_metrics().values()
    assert (own.name, own.direction, own.worst, own.label) == ("top_5_score", "maximize", -1.0, "top 5 score")
    assert (known.label, known.unit, known.worst) == ("cross-entropy", "nats", 1.0)


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), np.float64(0.5), np.int64(2), Fraction(1, 2)])
def test_numbers_of_every_kind_are_taken(value):
    assert checked_metrics(UserDict(score=value), ["score"]) == {"score": float(value)}


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "returned None"),
        (0.5, "returned 0.5"),
        ([("score", 0.5)], "returned [('score', 0.5)]"),
        ({}, "score is missing"),
        ({"score": math.nan}, "score is nan, not a finite number"),
        ({"score": -math.inf}, "score is -inf, not a finite number"),
        ({"score": "0.5"}, "score is '0.5', not a finite number"),
        ({"score": None}, "score is None"),
        ({"score": True}, "score is True"),
        ({"score": 0.5j}, "score is 0.5j"),
        ({"score": 0.5, "extra": 3}, "'extra' (3) is not declared"),
        ({"score": 0.5, 7: 3}, "7 (3) is not declared"),
        ({"macs": 1}, "score is missing; 'macs' (1) is not declared"),
    ],
)
def test_what_was_not_declared_or_is_no_number_is_refused_with_metric_and_value(returned, words):
    with pytest.raises(EvaluatorFailed) as refused:
        checked_metrics(returned, ["score"])
    assert words in str(refused.value)


def test_the_version_of_a_file_is_the_hash_of_its_source(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    source = "def evaluate(candidate):\n    return {}\n"
    (tmp_path / "just_a_file.py").write_text(source)
    assert evaluator_version("just_a_file:evaluate") == {
        "function": "just_a_file:evaluate",
        "distribution": None,
        "version": None,
        "sha256": hashlib.sha256(source.encode()).hexdigest(),
    }


def test_the_version_of_an_installed_package_is_its_release():
    found = evaluator_version("safetensors.torch:save_file")
    assert found["distribution"] == "safetensors"
    assert found["version"] == importlib.metadata.version("safetensors")
    assert len(found["sha256"]) == 64
    assert evaluator_version("math:sqrt")["sha256"] is None


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        (None, "evaluate", "can't be imported (ModuleNotFoundError: No module named"),
        ("import there_is_no_such_module", "evaluate", "No module named 'there_is_no_such_module'"),
        ("def broken(:", "evaluate", "SyntaxError"),
        ("raise SystemExit(3)", "evaluate", "SystemExit: 3"),
        ("", "evaluate", "has no function evaluate"),
        ("evaluate = 3", "evaluate", "has no function evaluate"),
    ],
)
def test_a_module_that_is_none_is_an_evaluators_failure_with_its_reason(tmp_path, monkeypatch, source, name, words):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bad_one", raising=False)
    if source is not None:
        (tmp_path / "bad_one.py").write_text(source)
    with pytest.raises(EvaluatorFailed) as failed:
        evaluator_version(f"bad_one:{name}")
    assert words in str(failed.value)


@pytest.fixture
def candidate():
    dataset = load_dataset("language-identification")
    space = SearchSpace.bundled("smoke")
    space = space.for_task(replace(space.task_shape, vocabulary_size=259, outputs=35, max_length=16))
    plan = TrainingPlan(steps=3, batch_size=8)
    return Candidate(next(space.enumerate()), dataset, plan, workload=Workload(input_length=16), seed=1)


def test_a_candidate_trains_as_a_job_without_an_evaluator_does_and_only_once(candidate):
    steps = []
    result = candidate.train(lambda step, of: steps.append((step, of)))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert candidate.train() is result
    usual = train(
        candidate.architecture,
        load_dataset("language-identification"),
        candidate.plan,
        workload=candidate.workload,
        seed=1,
    )
    assert result.metrics == usual.metrics
    assert all(np.array_equal(tensor, usual.state[name]) for name, tensor in result.state.items())
    candidate.build().load_state_dict(result.state)


def test_a_candidate_is_built_untrained_and_the_same_every_time(candidate):
    first, second = candidate.build().state_dict(), candidate.build().state_dict()
    assert all(np.array_equal(tensor, second[name]) for name, tensor in first.items())
    trained = candidate.train().state
    assert any(not np.array_equal(tensor, trained[name]) for name, tensor in first.items())


def test_a_candidate_comes_without_the_test_split(candidate):
    assert len(candidate.dataset.split("validation")) > 0
    with pytest.raises(InvalidInput, match="train, validation"):
        candidate.dataset.split("test")


def test_after_the_search_the_score_stands_on_test_and_nothing_is_trained_again(candidate):
    whole = load_dataset("language-identification")
    trained = candidate.train()
    last = candidate.on_test(whole)
    assert len(last.examples) == len(whole.split("test"))
    result = last.train(lambda *_: pytest.fail("it was trained again"))
    assert result.metrics == score_weights(candidate.architecture, trained.state, whole, "test", candidate.workload)
    assert result.metrics != trained.metrics
    with pytest.raises(InvalidInput, match="train, test"):
        last.dataset.split("validation")


def test_only_an_evaluator_changes_the_name_of_a_trunk():
    plain = Assignment({}, "d", "s", {"steps": 3}, {}, 0, first_rung=1, steps=3)
    own = replace(plain, evaluator={"function": "a:b", "metrics": {}})
    assert trunk_file(plain) == trunk_file(replace(plain, steps=1, goes_on=True))
    assert trunk_file(plain).stem == "56d32ffeec475196686519bd9408ed6d"  # as before there were evaluators
    assert trunk_file(own) != trunk_file(plain)
    assert trunk_file(own) == trunk_file(replace(own, steps=1))
