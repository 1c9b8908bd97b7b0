"""The cost-aware samplers in a stranger's Optuna study: what they propose, what they never do, how they end."""

import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from nas.errors import SpaceExhausted
from nas.search.cost_aware import Condition, CostAwareSampler, CostStratifiedSampler, DistributionCandidates

optuna.logging.set_verbosity(optuna.logging.WARNING)
SAMPLERS = [CostAwareSampler, CostStratifiedSampler]
SPACE = {
    "width": IntDistribution(16, 256, step=16),
    "depth": IntDistribution(1, 12),
    "kind": CategoricalDistribution(["a", "b", "c"]),
}


def cost(parameters):
    return parameters["width"] ** 2 * parameters["depth"]


def loss(parameters):
    kind = {"a": 1.0, "b": 0.8, "c": 1.3}[parameters["kind"]]
    return kind * (2 + 10 / (1 + math.log(cost(parameters)))) + 0.01 * (parameters["depth"] - 6) ** 2


def candidates(space=None, limit=math.inf, index=1):
    return DistributionCandidates(
        space or SPACE,
        {index: lambda many: [cost(p) for p in many]},
        lambda many: [cost(p) / limit - 1 if limit < math.inf else 0.0 for p in many],
    )


def suggest(trial, space=None):
    return {name: trial._suggest(name, distribution) for name, distribution in (space or SPACE).items()}


def search(sampler, count, evaluate=loss, directions=("minimize", "minimize"), space=None, study=None):
    study = study or optuna.create_study(directions=list(directions))
    study.sampler = sampler
    for _ in range(count):
        trial = study.ask()
        parameters = suggest(trial, space)
        value = evaluate(parameters)
        study.tell(
            trial, None if value is None else (value, cost(parameters)), TrialState.FAIL if value is None else None
        )
    return study


def proposals(study):
    return [tuple(sorted(trial.params.items())) for trial in study.trials]


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_strangers_study_gets_no_candidate_twice_and_none_over_the_limit(kind):
    study = search(kind(candidates(limit=1e5)), 40)
    assert len(set(proposals(study))) == 40
    assert all(cost(trial.params) <= 1e5 for trial in study.trials)


def test_it_finds_more_than_random_proposals_spread_over_the_cost():
    reference = (7.0, math.log(256**2 * 12) + 0.1)
    space = DistributionCandidates(SPACE, {1: lambda many: [math.log(cost(p)) for p in many]})

    def volume(sampler):
        study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
        for _ in range(25):
            trial = study.ask()
            parameters = suggest(trial)
            study.tell(trial, (loss(parameters), math.log(cost(parameters))))
        return optuna._hypervolume.compute_hypervolume(np.array([t.values for t in study.trials]), np.array(reference))

    for seed in range(3):
        aware, random = (kind(space, seed=seed) for kind in SAMPLERS)
        aware._reference = reference
        assert volume(aware) > volume(random)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_an_exhausted_space_ends_optimize_and_refuses_another_ask(kind):
    space = {"width": IntDistribution(16, 64, step=16), "depth": IntDistribution(1, 3), "kind": SPACE["kind"]}
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=kind(candidates(space)))

    def objective(trial):
        parameters = suggest(trial, space)
        return loss(parameters), cost(parameters)

    study.optimize(objective, n_trials=1000)
    assert len(study.trials) == len(set(proposals(study))) == 36
    with pytest.raises(SpaceExhausted, match="no unseen candidate"):
        suggest(study.ask(), space)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_space_of_one_point_is_proposed_once(kind):
    space = {"width": IntDistribution(16, 16), "depth": IntDistribution(2, 2), "kind": CategoricalDistribution(["a"])}
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=kind(candidates(space)))
    study.optimize(lambda trial: (1.0, cost(suggest(trial, space))), n_trials=5)
    assert [trial.params for trial in study.trials] == [{"width": 16, "depth": 2, "kind": "a"}]


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_limit_that_nothing_keeps_is_said_at_the_first_proposal(kind):
    with pytest.raises(SpaceExhausted, match="keeps the limits"):
        search(kind(candidates(limit=1.0)), 1)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_every_trial_failing_still_gives_new_candidates(kind):
    study = search(kind(candidates()), 15, evaluate=lambda p: None)
    assert len(set(proposals(study))) == 15


@pytest.mark.parametrize("bad", [math.inf, math.nan, 1e300])
def test_values_beyond_all_bounds_do_not_spoil_the_model(bad):
    def evaluate(parameters):
        return bad if parameters["kind"] == "c" else loss(parameters)

    study = search(CostAwareSampler(candidates()), 30, evaluate=evaluate)
    assert len(set(proposals(study))) == 30
    late = [trial.params["kind"] for trial in study.trials[15:]]
    if not math.isnan(bad):  # a trial that is told NaN fails, and of failures nothing is learnt
        assert late.count("c") <= 3


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0]])
def test_ties_in_every_objective_are_no_hindrance(values):
    space = DistributionCandidates(SPACE, {1: lambda many: [5.0] * len(many)})
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=CostAwareSampler(space))
    for number in range(20):
        trial = study.ask()
        suggest(trial)
        study.tell(trial, (values[number % len(values)], 5.0))
    assert len(set(proposals(study))) == 20


def test_maximising_an_objective_is_minimising_its_negative():
    minimised = search(CostAwareSampler(candidates(), reference=(9.0, 1e6)), 25)
    maximised = search(
        CostAwareSampler(candidates(), reference=(-9.0, 1e6)), 25, lambda p: -loss(p), ("maximize", "minimize")
    )
    assert proposals(minimised) == proposals(maximised)


def test_the_known_objective_may_come_first():
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=CostAwareSampler(candidates(index=0), reference=(1e6, 9.0))
    )
    for _ in range(20):
        trial = study.ask()
        parameters = suggest(trial)
        study.tell(trial, (cost(parameters), loss(parameters)))
    assert proposals(study) == proposals(search(CostAwareSampler(candidates(), reference=(9.0, 1e6)), 20))


def test_two_unknown_objectives_are_modelled_apart():
    study = optuna.create_study(directions=["minimize"] * 3, sampler=CostAwareSampler(candidates(index=2)))
    for _ in range(20):
        trial = study.ask()
        parameters = suggest(trial)
        study.tell(trial, (loss(parameters), parameters["depth"] * 0.1, cost(parameters)))
    assert len(set(proposals(study))) == 20


def test_one_objective_alone_is_searched_too():
    space = DistributionCandidates(SPACE, {})
    study = optuna.create_study(sampler=CostAwareSampler(space))
    study.optimize(lambda trial: loss(suggest(trial)), n_trials=30)
    best = min(loss({"width": w, "depth": d, "kind": "b"}) for w in range(16, 257, 16) for d in range(1, 13))
    assert study.best_value == pytest.approx(best, rel=0.01)


def test_what_is_running_is_not_proposed_again_and_keeps_its_neighbourhood():
    study = search(CostAwareSampler(candidates()), 15)
    running = [suggest(study.ask()) for _ in range(6)]
    assert len({tuple(p.items()) for p in running}) == 6
    alone = search(CostAwareSampler(candidates()), 15)
    assert running[0] == suggest(alone.ask())
    costs = sorted(cost(p) for p in running)
    assert costs[-1] > 1.5 * costs[0]


def test_more_may_run_than_there_are_candidates():
    space = {"width": IntDistribution(16, 32, step=16), "depth": IntDistribution(1, 2), "kind": SPACE["kind"]}
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=CostAwareSampler(candidates(space)))
    trials = [study.ask() for _ in range(12)]
    for trial in trials:
        suggest(trial, space)
    with pytest.raises(SpaceExhausted):
        suggest(study.ask(), space)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_new_sampler_goes_on_as_the_old_one_would_have(kind):
    whole = search(kind(candidates(), seed=3), 30)
    for cut in (4, 11, 23):
        begun = search(kind(candidates(), seed=3), cut)
        assert proposals(search(kind(candidates(), seed=3), 30 - cut, study=begun)) == proposals(whole)
    assert proposals(search(kind(candidates(), seed=4), 30)) != proposals(whole)


def test_results_may_come_in_any_order():
    def batch(order):
        study = search(CostAwareSampler(candidates()), 12)
        trials = [study.ask() for _ in range(3)]
        parameters = [suggest(trial) for trial in trials]
        for index in order:
            study.tell(trials[index], (loss(parameters[index]), cost(parameters[index])))
        return suggest(study.ask())

    assert batch([0, 1, 2]) == batch([2, 0, 1])


def test_another_process_proposes_the_same():
    script = """
        from test_cost_aware_sampler import *
        study = search(CostAwareSampler(candidates(), seed=5), 14)
        print(sorted(suggest(study.ask()).items()))
    """
    here = search(CostAwareSampler(candidates(), seed=5), 14)
    command, beside = (
        [sys.executable, "-c", textwrap.dedent(script)],
        os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    )
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": beside})
    there = found.stdout.strip()
    assert there == str(sorted(suggest(here.ask()).items()))


def test_conditional_and_continuous_parameters_are_searched():
    space = {
        "rate": FloatDistribution(1e-4, 1e-1, log=True),
        "layers": IntDistribution(1, 3),
        "layers.2.width": IntDistribution(8, 64, log=True),
    }
    source = DistributionCandidates(
        space, {1: lambda many: [p["layers"] for p in many]}, None, {"layers.2.width": Condition("layers", [3])}
    )
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=CostAwareSampler(source))

    def objective(trial):
        rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        layers = trial.suggest_int("layers", 1, 3)
        width = trial.suggest_int("layers.2.width", 8, 64, log=True) if layers == 3 else 8
        return (math.log10(rate) + 2.5) ** 2 + 1 / layers + 4 / width, layers

    study.optimize(objective, n_trials=40)
    assert min(t.values[0] for t in study.trials) < 0.5
    assert abs(math.log10(min(study.trials, key=lambda t: t.values[0]).params["rate"]) + 2.5) < 0.3


def test_a_parameter_that_no_candidate_has_is_refused_by_name():
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=CostAwareSampler(candidates()))
    with pytest.raises(ValueError, match="no parameter 'height'"):
        study.ask().suggest_int("height", 1, 2)


def test_a_candidate_becomes_parameters_once_a_trial_and_is_forgotten_with_it(monkeypatch):
    source = candidates()
    sampler = CostAwareSampler(source)
    study = search(sampler, 12)
    trial = study.ask()
    first, *others = SPACE.items()
    trial._suggest(*first)
    monkeypatch.setattr(source, "parameters_of", lambda row: pytest.fail(f"{row} was read again"))
    for name, distribution in others:
        trial._suggest(name, distribution)
    assert list(sampler._parameters) == list(sampler._chosen) == [trial.number]
    study.tell(trial, (1.0, 1.0))
    assert not sampler._parameters
    assert not sampler._chosen


def test_a_known_objective_that_the_study_does_not_have_is_refused():
    study = optuna.create_study(directions=["minimize"], sampler=CostAwareSampler(candidates()))
    with pytest.raises(ValueError, match="known objective 1"):
        suggest(study.ask())


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="startup is 1"):
        CostAwareSampler(candidates(), startup=1)
    with pytest.raises(ValueError, match="not finite"):
        CostAwareSampler(candidates(), reference=(math.inf, 1.0))
    with pytest.raises(ValueError, match="does not come before"):
        DistributionCandidates(SPACE, {}, None, {"width": Condition("depth", [1])})


def test_earlier_trials_of_another_sampler_are_learnt_from():
    study = search(optuna.samplers.RandomSampler(seed=0), 20)
    search(CostAwareSampler(candidates()), 10, study=study)
    assert len(set(proposals(study)[20:]) - set(proposals(study)[:20])) == 10
