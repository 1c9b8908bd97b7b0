"""A job copied into a database of Optuna, read back by Optuna alone."""

import json
import random

import optuna
import pytest
from api_examples import RecordingWorker, job_document
from api_service import serving
from cli_runner import nas
from optuna.trial import TrialState

from nas.errors import InvalidInput
from nas.jobs.catalogue import submit
from nas.space import Decision, SearchSpace
from nas.store.records import JobState, RetrainingKey
from nas.studies import readable_parameters

ERRORS = [0.9, 0.6, 0.7, 0.3]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("studies") / "nas.db") as service:
        yield service


@pytest.fixture(scope="module")
def worker(service):
    """A job with trials in every state."""
    limits = ["parameters <= 24000", "error_rate <= 0.65"]
    worker = RecordingWorker(service.store, submit(service.store, job_document(constraints=limits))[0])
    for error in ERRORS:
        worker.complete(error)
    worker.fail(worker.start(), "it diverged")
    worker.skip_as_duplicate_of(1)
    worker.start()
    return worker


@pytest.fixture(scope="module")
def database(service, worker, tmp_path_factory):
    database = f"sqlite:///{tmp_path_factory.mktemp('optuna') / 'study.db'}"
    run = nas("jobs", "export", worker.job.id, "--optuna", database, "--url", service.url)
    assert run.code == 0, run.err
    assert f"{worker.job.id}: 7 trials in {database}" in run.out
    return database


@pytest.fixture
def study(worker, database):
    return optuna.load_study(study_name=worker.job.id, storage=database)


def test_trials_keep_number_state_values_and_limits(worker, study):
    assert study.metric_names == ["error_rate", "parameters"]
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MINIMIZE"]
    found = study.trials
    assert [t.number for t in found] == list(range(7))
    assert [t.state for t in found] == [TrialState.COMPLETE] * 4 + [TrialState.FAIL] * 2 + [TrialState.RUNNING]
    for trial, error in zip(found, ERRORS, strict=False):
        parameters = worker.context.costs(worker.feasible[trial.number])["parameters"]
        assert trial.values == [error, parameters]
        over = max(0.0, (error - 0.65) / 0.65)
        assert trial.constraints == pytest.approx({"parameters <= 24000": 0.0, "error_rate <= 0.65": over})


def test_what_else_is_known_stands_in_attributes(worker, study):
    complete, failed, duplicate = (study.trials[number].user_attrs for number in (3, 4, 5))
    architecture = worker.feasible[3]
    assert complete["architecture"] == architecture.to_dict()
    assert complete["architecture_id"] == architecture.id
    assert complete["macs"] == worker.context.costs(architecture)["macs"]
    assert complete["on_front"]
    assert (failed["state"], failed["error"]) == ("failed", "it diverged")
    assert (duplicate["state"], duplicate["skip_reason"], duplicate["same_as"]) == ("skipped", "duplicate", 1)
    assert study.user_attrs["pocketformer:id"] == worker.job.id
    assert study.user_attrs["pocketformer:document"]["objectives"] == ["error_rate", "parameters"]


def test_optuna_finds_the_same_front(service, worker, study):
    front = service.client.get(f"/v1/jobs/{worker.job.id}/front").json()["members"]
    assert {t.number for t in study.best_trials} == {member["number"] for member in front}
    assert front


def test_the_parameters_lead_back_to_the_architecture_and_read_as_it_does(worker, study):
    space = worker.context.space
    for trial in study.trials:
        params = dict(trial.params)

        def choose(decision: Decision, params=params) -> int:
            return decision.options.index(params.pop(decision.name))

        architecture = space.walk(choose)
        assert params == {}
        number = trial.user_attrs.get("same_as", trial.number)
        assert architecture == worker.feasible[number]
        assert trial.params["hidden_size"] == architecture.encoder.hidden_size


@pytest.mark.parametrize("name", ["smoke", "text-encoder", "causal-decoder", "lite-seq2seq"])
def test_parameters_of_one_name_have_one_distribution_in_every_bundled_space(name):
    space, rng, seen = SearchSpace.bundled(name), random.Random(0), {}
    for _ in range(100):
        params, distributions = readable_parameters(space, space.sample(rng))
        for key, distribution in distributions.items():
            assert distribution == seen.setdefault(key, distribution)
            assert distribution._contains(distribution.to_internal_repr(params[key]))


def test_scores_of_training_in_full_carry_their_labels(service, tmp_path):
    worker = RecordingWorker(service.store, submit(service.store, job_document())[0])
    worker.complete(0.5)
    worker.finish(seeds=2, members=1, sample=0)
    for seed, (trained, tested) in enumerate([(0.30, 0.36), (0.32, 0.38)]):
        worker.retrain(RetrainingKey(0, 12, seed), {3: 0.5, 12: trained}, tested)
    service.store.finish_job(worker.job.id, worker.job.lease_token, JobState.SUCCEEDED, "done")
    database = f"sqlite:///{tmp_path / 'study.db'}"
    run = nas("jobs", "export", worker.job.id, "--optuna", database, "--name", "mine", "--url", service.url)
    assert run.code == 0, run.err
    (trial,) = optuna.load_study(study_name="mine", storage=database).trials
    assert trial.user_attrs["error_rate"] == 0.5
    assert trial.user_attrs["error_rate (trained)"] == pytest.approx(0.31)
    assert trial.user_attrs["error_rate (tested)"] == pytest.approx(0.37)


# What can't be done ----------------------------------------------------------------------------------------------


def test_a_name_that_is_taken_is_refused_and_nothing_is_written(service, worker, database):
    before = len(optuna.load_study(study_name=worker.job.id, storage=database).trials)
    run = nas("jobs", "export", worker.job.id, "--optuna", database, "--url", service.url)
    assert run.code == 1
    assert "already: give another name" in run.err
    assert len(optuna.load_study(study_name=worker.job.id, storage=database).trials) == before


@pytest.mark.parametrize(
    "address", ["study.db", "nothing://study.db", "sqlite:////nowhere/at/all/study.db", "mysql://a@127.0.0.1:1/x"]
)
def test_a_database_that_cannot_be_reached_is_named(service, worker, address):
    run = nas("jobs", "export", worker.job.id, "--optuna", address, "--url", service.url)
    assert run.code == 2
    assert f"given:    {address!r}" in run.err
    assert "sqlite:///study.db" in run.err


def test_no_password_is_printed(service, worker):
    address = "postgresql+psycopg://somebody:hunter2@127.0.0.1:1/studies"
    run = nas("jobs", "export", worker.job.id, "--optuna", address, "--url", service.url)
    assert run.code == 2
    assert "somebody:***@127.0.0.1:1/studies" in run.err
    assert "hunter2" not in run.err + run.out


def test_an_unknown_job_is_refused(service, tmp_path):
    file = tmp_path / "study.db"
    run = nas("jobs", "export", "j-0", "--optuna", f"sqlite:///{file}", "--url", service.url)
    assert run.code == 1
    assert "no job 'j-0'" in run.err
    assert not file.exists()


def test_an_architecture_outside_the_space_is_refused(worker):
    with pytest.raises(InvalidInput):
        readable_parameters(SearchSpace.bundled("text-encoder"), worker.feasible[0])


# Back again ------------------------------------------------------------------------------------------------------


def submitted(service, tmp_path, *arguments, **changes):
    file = tmp_path / "job.yaml"
    file.write_text(json.dumps(job_document(**changes)))
    return nas("jobs", "submit", file, *arguments, "--url", service.url, "--json")


def start_of(service, run):
    assert run.code == 0, run.err
    return [each["id"] for each in service.store.job(run.json["id"]).document["start"]]


def test_a_job_starts_from_the_front_of_a_study(service, worker, database, study, tmp_path):
    given = worker.feasible[9].to_dict()
    run = submitted(service, tmp_path, "--optuna", database, start={"architectures": [given]})
    front = [worker.feasible[t.number].id for t in study.best_trials]
    assert start_of(service, run) == [*front, given["id"]]
    assert f"Starting from {len(front)} architectures" in run.err


def test_a_study_of_somebody_else_is_read_by_its_parameters(service, worker, tmp_path):
    database = f"sqlite:///{tmp_path / 'theirs.db'}"
    theirs = optuna.create_study(study_name="theirs", storage=database, directions=["minimize", "minimize"])
    for number, architecture in enumerate(worker.feasible[:2]):
        params, distributions = readable_parameters(worker.context.space, architecture)
        values = [0.1 * number, 1.0 - number]
        theirs.add_trial(optuna.trial.create_trial(values=values, params=params, distributions=distributions))
    run = submitted(service, tmp_path, "--optuna", database, "--name", "theirs")
    assert start_of(service, run) == [architecture.id for architecture in worker.feasible[:2]]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"hidden_size": 17}, "trial 0: hidden_size"),
        ({"units": 16}, "trial 0: hidden_size"),
    ],
)
def test_a_study_of_another_space_is_refused_with_what_does_not_fit(service, tmp_path, params, words):
    database = f"sqlite:///{tmp_path / 'other.db'}"
    other = optuna.create_study(study_name="other", storage=database, directions=["minimize", "minimize"])
    distributions = {name: optuna.distributions.IntDistribution(1, 99) for name in params}
    other.add_trial(optuna.trial.create_trial(values=[0.1, 1], params=params, distributions=distributions))
    run = submitted(service, tmp_path, "--optuna", database)
    assert run.code == 2
    assert words in run.err
    assert "16, 32" in run.err


def test_studies_that_are_not_there_are_named(service, worker, database, tmp_path):
    run = submitted(service, tmp_path, "--optuna", database, "--name", "nobody's")
    assert run.code == 2
    assert worker.job.id in run.err
    missing = tmp_path / "nowhere.db"
    run = submitted(service, tmp_path, "--optuna", f"sqlite:///{missing}")
    assert run.code == 2
    assert "there is no file" in run.err
    assert not missing.exists()
    (tmp_path / "rubbish.db").write_bytes(b"no database " * 100)
    assert submitted(service, tmp_path, "--optuna", f"sqlite:///{tmp_path / 'rubbish.db'}").code == 2
    empty = f"sqlite:///{tmp_path / 'empty.db'}"
    optuna.create_study(study_name="empty", storage=empty, directions=["minimize", "minimize"])
    run = submitted(service, tmp_path, "--optuna", empty)
    assert run.code == 2
    assert "a complete trial" in run.err
