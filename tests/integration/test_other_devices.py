"""A job's trials ranked for devices that it was not searched for, over HTTP; and all its trials as columns."""

import json

import pytest
from api_examples import RecordingWorker, device_document, job_document, latency_table, space_document
from api_service import serving

from nas.architecture import Architecture, TaskShape
from nas.client import Client
from nas.jobs.catalogue import submit
from nas.latency.predict import LatencyPredictor
from nas.latency.table import LatencyTable
from nas.quality.datasets import dataset_info
from nas.space import SearchSpace
from nas.workload import Workload

OWN, OTHER = "latency_ms@bench-board", "latency_ms@other-board"
LENGTH = job_document()["workload"]["input_length"]


INFO = dataset_info("language-identification")
SHAPE = TaskShape(INFO.vocabulary_size, INFO.outputs, LENGTH)
SPACE = SearchSpace.bundled("smoke").for_task(SHAPE)
SMALLER = SearchSpace.from_document(space_document(depth=[1, 2])).for_task(SHAPE)


def table_of(device, attention=2.0, length=LENGTH, space=SPACE):
    """A table on which a parameter of the attention takes so many nanoseconds."""
    return latency_table(device, space, Workload(input_length=length), attention)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("devices") / "nas.db") as service:
        for name in ("bench-board", "other-board", "bare-board", "sparse-board"):
            service.client.post("/v1/devices", json=device_document(name)).raise_for_status()
        add(service, table_of("bench-board"))
        add(service, table_of("other-board", 6.0))
        add(service, table_of("sparse-board", space=SMALLER))
        yield service


def add(service, table):
    name = table["device"]["name"]
    service.client.post(f"/v1/devices/{name}/latency-tables", json=table).raise_for_status()


@pytest.fixture(scope="module")
def worker(service):
    document = job_document(
        devices=["bench-board"], objectives=["error_rate", OWN], constraints=["parameters <= 24000"]
    )
    worker = RecordingWorker(service.store, submit(service.store, document)[0])
    for error in (0.9, 0.5, 0.7, 0.3, 0.62, 0.55, 0.41, 0.8, 0.66, 0.35):
        worker.complete(error)
    worker.skip_as_duplicate_of(1)
    worker.fail(worker.start(), "it broke")
    return worker


def get(service, worker, path, **query):
    answer = service.client.get(f"/v1/jobs/{worker.job.id}{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def foretold(service, worker):
    """Of every trial the prediction of the other board's newest table, one architecture at a time."""
    key = Workload(input_length=LENGTH).key
    version = [t.version for t in service.store.latency_tables("other-board") if t.workload_key == key][-1]
    table = service.store.latency_table("other-board", version).document
    predictor = LatencyPredictor(LatencyTable.from_dict(table))
    trials = service.store.trials(worker.job.id)
    return {t.number: predictor.predict(Architecture.from_dict(t.architecture)) for t in trials}


def test_every_device_is_listed_with_its_table_or_the_reason_why_not(service, worker):
    devices = {device["name"]: device for device in get(service, worker, "/devices")["devices"]}
    assert list(devices) == ["bench-board", "bare-board", "other-board", "sparse-board"]
    assert devices["bench-board"] == {"name": "bench-board", "recorded": True, "table_version": 1, "reason": None}
    assert (devices["other-board"]["recorded"], devices["other-board"]["table_version"]) == (False, 1)
    assert f"no latency table at {Workload(input_length=LENGTH).key}" in devices["bare-board"]["reason"]
    assert "do not cover the space smoke" in devices["sparse-board"]["reason"]
    assert "nas device profile sparse-board --space smoke" in devices["sparse-board"]["reason"]
    with Client(service.url) as client:
        assert client.job_devices(worker.job.id) == list(devices.values())


def test_the_front_on_another_device_is_that_of_its_predictions(service, worker):
    front = get(service, worker, "/front", objectives=f"error_rate,{OTHER}")
    times = {number: found.latency_ms for number, found in foretold(service, worker).items()}
    errors = {t.number: t.metrics["error_rate"] for t in service.store.trial_summaries(worker.job.id, limit=10)}
    expected = {
        one
        for one in errors
        if not any(
            (errors[o] <= errors[one] and times[o] <= times[one]) and (errors[o], times[o]) != (errors[one], times[one])
            for o in errors
        )
    }
    assert {trial["number"] for trial in front["members"]} == expected
    for trial in front["members"]:
        found = foretold(service, worker)[trial["number"]]
        assert trial["metrics"][OTHER] == pytest.approx(found.latency_ms)
        assert trial["metrics"]["latency_lower_ms@other-board"] == pytest.approx(found.lower_ms)
        assert trial["metrics"]["latency_upper_ms@other-board"] == pytest.approx(found.upper_ms)
        assert OWN in trial["metrics"]
    assert front["objectives"][1]["label"] == "Latency on other-board"


def test_a_limit_on_another_device_keeps_out_what_is_slower_there(service, worker):
    times = sorted(found.latency_ms for n, found in foretold(service, worker).items() if n < 10)
    limit = f"{OTHER} <= {times[4]}"
    front = get(service, worker, "/front", constraint=limit)
    assert front["members"]
    assert all(trial["metrics"][OTHER] <= times[4] for trial in front["members"])
    picks = get(service, worker, "/front/picks", cost=OTHER)["picks"]
    assert picks[0]["lower"] < picks[0]["cost"] < picks[0]["upper"]
    assert get(service, worker, "/front/reading", objectives=f"error_rate,{OTHER}")["uncertain"] == [OTHER]


def test_a_newer_table_gives_another_answer_to_who_holds_the_one_before(service, worker):
    path, query = f"/v1/jobs/{worker.job.id}/front", {"objectives": f"error_rate,{OTHER}"}
    held = service.client.get(path, params=query)
    again = {"If-None-Match": held.headers["etag"]}
    assert service.client.get(path, params=query, headers=again).status_code == 304
    add(service, table_of("other-board", 10.0))
    newer = service.client.get(path, params=query, headers=again)
    assert newer.status_code == 200
    shared = {t["number"]: t for t in held.json()["members"]}.keys() & {t["number"] for t in newer.json()["members"]}
    assert shared
    before, after = ({t["number"]: t["metrics"][OTHER] for t in a.json()["members"]} for a in (held, newer))
    assert all(before[number] < after[number] for number in shared)
    add(service, table_of("other-board", length=LENGTH // 2))  # at another workload: it says nothing of this job
    assert service.client.get(path, params=query, headers={"If-None-Match": newer.headers["etag"]}).status_code == 304


def test_a_trial_that_ends_later_is_predicted_too(service, worker):
    before = len(get(service, worker, "/trials/columns", metrics=OTHER)["numbers"])
    number = worker.complete(0.99)
    columns = get(service, worker, "/trials/columns", metrics=OTHER)
    assert len(columns["numbers"]) == before + 1
    value = columns["metrics"][OTHER][columns["numbers"].index(number)]
    assert value == pytest.approx(foretold(service, worker)[number].latency_ms)


@pytest.mark.parametrize("device", ["bare-board", "sparse-board", "no-board"])
def test_a_device_that_can_not_be_predicted_is_refused_with_the_reason(service, worker, device):
    answer = service.client.get(
        f"/v1/jobs/{worker.job.id}/front", params={"objectives": f"error_rate,latency_ms@{device}"}
    )
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["value"]) == ("objectives[1]", f"'latency_ms@{device}'")
    assert device in error["next_step"]


def test_the_columns_say_what_the_pages_of_trials_say(service, worker):
    names = ["error_rate", OWN, "parameters"]
    columns = get(service, worker, "/trials/columns", metrics=",".join(names), features=True)
    trials = get(service, worker, "/trials", limit=1000)["trials"]
    assert columns["numbers"] == [t["number"] for t in trials]
    for coded, name in ((columns["states"], "state"), (columns["skip_reasons"], "skip_reason")):
        texts = [coded["options"][code] if code >= 0 else None for code in coded["codes"]]
        assert texts == [t[name] for t in trials]
    for name in names:
        assert columns["metrics"][name] == [t["metrics"].get(name) for t in trials]
    assert columns["infeasible"] == [t["number"] for t in trials if not t["feasible"]]
    features = {feature["name"]: feature for feature in columns["features"]}
    encoders = [t["architecture"]["encoder"] for t in trials]
    assert features["layers"]["values"] == [len(encoder["layers"]) for encoder in encoders]
    assert features["hidden_size"]["values"] == [encoder["hidden_size"] for encoder in encoders]
    kinds = [{layer["attention"] for layer in encoder["layers"]} for encoder in encoders]
    attention = features["attention"]
    told = [attention["options"][code] for code in attention["values"]]
    assert told == [kind.copy().pop() if len(kind) == 1 else "mixed" for kind in kinds]
    ratios = [
        sum(layer["feed_forward_size"] / encoder["hidden_size"] for layer in encoder["layers"]) / len(encoder["layers"])
        for encoder in encoders
    ]
    assert features["feed_forward_ratio"]["values"] == pytest.approx(ratios)
    with Client(service.url) as client:
        assert client.columns(worker.job.id, names, features=True) == columns


def test_trials_are_told_of_by_their_numbers_and_columns_from_a_number_on(service, worker):
    some = get(service, worker, "/trials", numbers="3,1,99")
    every = get(service, worker, "/trials", limit=1000)["trials"]
    assert some == {"trials": [every[1], every[3]], "next_after": None}
    whole = get(service, worker, "/trials/columns", metrics="error_rate", features=True)
    later = get(service, worker, "/trials/columns", metrics="error_rate", features=True, after=4)
    assert later["numbers"] == whole["numbers"][5:]
    assert later["metrics"]["error_rate"] == whole["metrics"]["error_rate"][5:]
    assert [f["values"] for f in later["features"]] == [f["values"][5:] for f in whole["features"]]
    for wrong in ("", "a", "1,,2", ",".join(map(str, range(1001)))):
        answer = service.client.get(f"/v1/jobs/{worker.job.id}/trials", params={"numbers": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "numbers")


def test_limits_that_are_broken_are_in_the_columns(service):
    document = job_document(constraints=["parameters <= 12000"])
    worker = RecordingWorker(service.store, submit(service.store, document)[0])
    job = service.store.job(worker.job.id)
    heavy = next(a for a in SPACE.enumerate() if worker.context.costs(a)["parameters"] > 12000)
    worker.feasible.insert(0, heavy)
    worker.start()
    worker.complete(0.5)
    assert get(service, worker, "/trials/columns")["infeasible"] == [0], job.id


def test_columns_come_packed_and_are_polled_cheaply(service, worker):
    path = f"/v1/jobs/{worker.job.id}/trials/columns"
    packed = service.client.get(path, params={"metrics": "error_rate"})
    assert packed.headers["content-encoding"] == "gzip"
    plain = service.client.get(path, params={"metrics": "error_rate"}, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == packed.json()
    held = {"If-None-Match": packed.headers["etag"]}
    assert service.client.get(path, params={"metrics": "error_rate"}, headers=held).status_code == 304


@pytest.mark.parametrize(
    "query", [{"metrics": "beauty"}, {"metrics": ",".join(f"m{i}" for i in range(41))}, {"x": "1"}]
)
def test_columns_that_there_are_none_of_are_refused(service, worker, query):
    answer = service.client.get(f"/v1/jobs/{worker.job.id}/trials/columns", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] in ("metrics", "x")


def test_a_configuration_promises_the_latency_on_other_devices_too(service, worker):
    path = f"/v1/jobs/{worker.job.id}/trials/3/config"
    own = service.client.get(path, params={"format": "json"}).json()
    assert list(own["latency"]) == ["bench-board"]
    with Client(service.url) as client:
        told = json.loads(client.config(worker.job.id, 3, "json", devices=["other-board"]))
    assert list(told["latency"]) == ["bench-board", "other-board"]
    promise = told["latency"]["other-board"]
    assert promise["latency_ms"] == pytest.approx(foretold(service, worker)[3].latency_ms, rel=1)
    assert promise["lower_ms"] < promise["latency_ms"] < promise["upper_ms"]
    assert promise["fingerprint"] == service.store.latency_table("other-board", promise["table_version"]).fingerprint
    refused = service.client.get(path, params={"device": "bare-board"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "device")
