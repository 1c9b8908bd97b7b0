"""What a job tells its sampler: candidates with their known metrics, limits, and the reference point."""

import random

import numpy as np
import pytest
from latency_tables import made_up_table

from nas.jobs.context import JobContext
from nas.latency.predict import LatencyPredictor
from nas.search.job import JobSpec
from nas.search.objectives import MetricInfo, cost_metrics, parse_constraint
from nas.search.proposer import Proposer
from nas.search.samplers import SAMPLERS
from nas.space import SearchSpace
from nas.workload import Workload

DEVICE = "phone"
LATENCY = f"latency_ms@{DEVICE}"


def context(objectives=("error_rate", LATENCY), constraints=(), space="smoke", **changes):
    workload = Workload(input_length=16)
    spec = JobSpec.from_document(
        {
            "name": "made up",
            "search_space": space,
            "task": {"dataset": "language-identification", "metric": "error_rate"},
            "workload": {"batch": 1, "input_length": 16},
            "devices": [DEVICE],
            "objectives": list(objectives),
            "budget": {"trials": 20},
            **changes,
        }
    )
    found = SearchSpace.bundled(space)
    metrics = {
        "error_rate": MetricInfo("error_rate", "Error rate", "minimize", "", False, 1.0),
        "accuracy": MetricInfo("accuracy", "Accuracy", "maximize", "", False, 0.0),
        **cost_metrics((DEVICE,)),
    }
    return JobContext(
        spec,
        found,
        None,
        "",
        metrics,
        tuple(metrics[name] for name in objectives),
        tuple(parse_constraint(text, "constraints", metrics) for text in constraints),
        {DEVICE: LatencyPredictor(made_up_table(found, workload=workload))},
        start=(),
    )


def test_a_job_that_names_no_sampler_has_the_cost_aware_one():
    assert context().spec.sampler == "cost-aware"


def test_metrics_at_once_are_the_costs_of_single_architectures():
    job = context(space="text-encoder")
    encoded = job.space.sample_encoded(30, np.random.default_rng(0))
    found = job.known_metrics()(encoded)
    for row, architecture in enumerate(job.space.decode(encoded)):
        single = job.costs(architecture)
        assert set(single) == set(found)
        for name, value in single.items():
            assert float(found[name][row]) == pytest.approx(value, rel=1e-9)


def test_a_limit_on_an_objective_is_the_reference_where_it_is_tighter():
    point = {"error_rate": 0.97, LATENCY: 5.0}
    limits = ("error_rate <= 0.4", f"{LATENCY} <= 9", "parameters <= 1e6")
    assert context(constraints=limits).sampler_setting(point).reference == (0.4, 5.0)
    limits = ("accuracy >= 0.6",)
    job = context(("accuracy", "macs"), limits)
    assert job.sampler_setting({"accuracy": 0.03, "macs": 1e9}).reference == (0.6, 1e9)


@pytest.mark.parametrize("sampler", ["cost-aware", "cost-stratified"])
@pytest.mark.parametrize(
    "objectives",
    [
        ("error_rate", LATENCY),
        ("error_rate", "accuracy"),
        ("macs", "parameters"),
        ("error_rate", LATENCY, "macs", "peak_activation_mb"),
    ],
)
def test_any_mixture_of_known_and_unknown_objectives_is_searched(sampler, objectives):
    job = context(objectives, (f"{LATENCY} <= 1000", "parameters >= 6500"))
    setting = job.sampler_setting(dict.fromkeys(objectives, 1e9) | {"accuracy": 0.0})
    proposer = Proposer(job.space, job.objectives, job.constraints, job.costs, sampler, setting)
    seen = set()
    for number in range(20):
        proposal = proposer.propose(number)
        assert proposal.verdict == "evaluate"
        seen.add(proposal.architecture.id)
        error = 1 / (1 + proposal.costs["macs"] ** 0.1)
        proposer.tell(number, {**proposal.costs, "error_rate": error, "accuracy": 1 - error})
    assert len(seen) == 20


def test_given_candidates_come_first_and_are_learnt_from():
    job = context()
    given = [job.space.sample(random.Random(seed)) for seed in range(3)]
    setting = job.sampler_setting({"error_rate": 0.97, LATENCY: 5.0})
    proposer = Proposer(job.space, job.objectives, (), job.costs, "cost-aware", setting, given)
    proposed = []
    for number in range(15):
        proposal = proposer.propose(number)
        proposed.append(proposal.architecture.id)
        proposer.tell(number, {**proposal.costs, "error_rate": 1 / (1 + proposal.costs["macs"] ** 0.1)})
    assert proposed[:3] == [architecture.id for architecture in given]
    assert len(set(proposed)) == 15


def test_every_sampler_of_the_registry_can_be_named():
    for name in SAMPLERS:
        assert context(sampler=name).spec.sampler == name
    assert {"cost-aware", "cost-stratified", "nsga2", "nsga3", "tpe", "gp", "random"} == set(SAMPLERS)
