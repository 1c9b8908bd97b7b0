"""Real measurements with the real ONNX Runtime, on a space small enough to profile in seconds."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nas.architecture import Architecture
from nas.errors import Conflict, InvalidInput, MeasurementFailed
from nas.latency.bench import SENTINEL, WHOLE_A_PASS
from nas.latency.campaign import LEAST_PASSES
from nas.latency.device import this_machine
from nas.latency.measure import measure
from nas.latency.predict import LatencyPredictor
from nas.latency.profile import profile
from nas.latency.table import LatencyTable, Sentinel
from nas.latency.verify import fresh_models, verify
from nas.space import Genotype, SearchSpace
from nas.sub_blocks.space_calls import calls_of_space
from nas.workload import Workload

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from small_spaces import small_space, workload_of

from tests.patience import patiently

SMOKE = SearchSpace.bundled("smoke")
WORKLOAD = Workload(input_length=32)
MODELS = 9


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """A cache of our own: nobody else's unfinished profile is gone on with."""
    directory = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(directory))
        yield directory


@pytest.fixture(scope="module")
def told() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("raw") / "raw.jsonl"


@pytest.fixture(scope="module")
def table(told, raw, cache) -> LatencyTable:
    def measured(patience_s: float) -> LatencyTable:
        told.clear()
        return profile(
            SMOKE,
            WORKLOAD,
            whole_models=MODELS,
            patience_s=patience_s,
            raw=raw,
            progress=lambda *news: told.append(news),
        )

    return patiently(measured)


def measurements(table: LatencyTable):
    yield from table.entries.values()
    for model in table.whole_models:
        yield from model.phases.values()


def journalled(path: Path) -> list[tuple[str, int]]:
    """(graph, nanoseconds) of every launch in a journal, the sentinel's left out."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = [line["launch"] for line in lines if "launch" in line]
    return [(launch["graph"], launch["latency_ns"]) for launch in found if launch["graph"] != SENTINEL]


def test_a_profile_holds_every_call_and_whole_models_with_all_their_launches(table):
    assert set(table.entries) == {call.key for call in calls_of_space(SMOKE, WORKLOAD)}
    assert len(table.whole_models) == MODELS
    for measurement in measurements(table):
        assert len(measurement.launches_ns) >= LEAST_PASSES
        assert measurement.difference < 1e-3
        assert measurement.low_ns > 1_000
    assert table.device == this_machine().model_copy(update={"name": table.device.name, "system": table.device.system})
    assert len(table.sentinel.readings_ns) > 50
    assert table.circumstances.before is not None
    assert table.circumstances.after is not None


def test_a_pass_launches_the_calls_and_then_the_whole_models_twice(table, raw):
    calls_there, whole = len(table.entries), WHOLE_A_PASS * MODELS
    names = [name for name, _ in journalled(raw)][: LEAST_PASSES * (calls_there + whole)]
    for start in range(0, len(names), calls_there + whole):
        one = names[start : start + calls_there + whole]
        assert set(one[:calls_there]) == set(table.entries)
        assert set(Counter(one[calls_there:]).values()) == {WHOLE_A_PASS}
        assert not set(one[calls_there:]) & set(table.entries)
    assert names[:calls_there] != names[calls_there + whole :][:calls_there]  # in another order each time


def test_the_raw_launches_are_those_of_the_table_and_carry_their_iterations(table, raw):
    launches = Counter(name for name, _ in journalled(raw))
    assert {key: launches[key] for key in table.entries} == {
        key: len(entry.launches_ns) for key, entry in table.entries.items()
    }
    assert sum(launches.values()) == sum(len(measurement.launches_ns) for measurement in measurements(table))
    lines = [json.loads(line) for line in raw.read_text().splitlines()]
    assert all(line["launch"]["samples_ns"] for line in lines if "launch" in line)


def test_nothing_is_left_of_a_profile_that_is_done(table, cache):
    left = [path for kind in ("profiles", "devices") for path in (cache / "pocketformer" / kind).glob("profile-*")]
    assert left == []


def test_a_profile_tells_its_progress_phase_by_phase(table, told):
    assert list(dict.fromkeys(phase for phase, _, _ in told)) == ["export", "send", "measure"]
    for phase in ("export", "measure"):
        counts = [done for name, done, _ in told if name == phase]
        assert counts == list(range(len(counts)))
    assert all(0 <= done <= total for _, done, total in told)
    assert told[-1][1] == told[-1][2]


def test_a_profile_is_read_back_equal_from_json(table):
    assert LatencyTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table


def test_whole_models_are_measured_in_the_order_given_and_near_their_prediction(table):
    wanted = [_alike(frame, 2) for frame in range(len(SMOKE.frames))]
    found = measure([*wanted, wanted[0]], WORKLOAD, table.device, reference=table, patience_s=5)
    assert [m.architecture_id for m in found] == [a.id for a in (*wanted, wanted[0])]
    assert found[0] == found[-1]
    assert 0.2 < found[0].sentinel_ratio < 5
    predictor = LatencyPredictor(table)
    for architecture, measured in zip(wanted, found[:-1], strict=True):
        # Wide, for the machine that tests run on is seldom calm; benchmarks/latency.py shows the real figures
        assert 0.5 < measured.latency_ms / predictor.predict(architecture).latency_ms < 2
        assert measured.valid or measured.reason


def test_fresh_models_are_verified_against_the_table(table):
    models = fresh_models(table, SMOKE, 3, seed=1)
    found = verify(table, models, table.device, patience_s=8)
    assert [row.architecture for row in found.rows] == models
    for row in found.rows:
        assert 0.5 < 1 + row.difference < 2
        assert row.sum_ms > 0
        assert row.macs_ms > 0


def _alike(frame: int, depth: int) -> Architecture:
    """The architecture of so many layers that each take the first option."""
    return SMOKE.architecture(Genotype(frame, dict.fromkeys(SMOKE.parts, (0,) * depth)))


def test_a_machine_that_is_not_as_fast_as_when_the_table_was_made_is_not_called_a_valid_measurement(table):
    slow_ns = 10 * table.sentinel.calm_ns
    slow = table.model_copy(update={"sentinel": Sentinel(readings_ns=(slow_ns,), calm_ns=slow_ns)})
    (found,) = measure([_alike(0, 1)], WORKLOAD, table.device, reference=slow, patience_s=0)
    assert not found.valid
    assert "does not run as it did" in found.reason
    assert found.sentinel_ratio < 0.9


def test_a_reference_of_another_device_is_refused(table):
    other = table.model_copy(update={"device": table.device.model_copy(update={"threads": 7})})
    with pytest.raises(InvalidInput, match=r"reference\.device\.fingerprint"):
        measure([_alike(0, 1)], WORKLOAD, table.device, reference=other)


def test_a_device_that_is_not_this_machine_is_refused_naming_what_differs():
    elsewhere = this_machine().model_copy(update={"hardware": "a phone"})
    with pytest.raises(InvalidInput, match=r"device\.hardware"):
        profile(SMOKE, WORKLOAD, device=elsewhere)


def test_a_decoder_is_measured_as_a_prefill_and_its_steps():
    space = small_space("small-decoder")
    workload = workload_of(space)
    smallest = space.architecture(Genotype(0, dict.fromkeys(space.parts, (0,))))
    (found,) = measure([smallest], workload, this_machine(), patience_s=1)
    assert set(found.phases) == {"prefill", "step"}
    assert found.latency_ms == pytest.approx(found.phases["prefill"] + workload.output_length * found.phases["step"])
    assert min(found.phases.values()) > 0.001


@pytest.mark.parametrize(
    ("space", "workload", "field"),
    [
        ("smoke", Workload(input_length=65), "input_length"),
        ("smoke", Workload(input_length=8, output_length=1), "output_length"),
        ("causal-decoder", Workload(input_length=120, output_length=1_000), "output_length"),
        ("seq2seq", Workload(input_length=8, output_length=8_000), "output_length"),
    ],
)
def test_a_workload_that_the_models_do_not_take_is_refused_before_anything_is_exported(space, workload, field, cache):
    with pytest.raises(InvalidInput, match=rf"workload\.{field}"):
        profile(SearchSpace.bundled(space), workload)


# Interrupted --------------------------------------------------------------------------------------------------------

PROFILE = """
import sys
from pathlib import Path
from nas.latency.profile import profile
from nas.space import SearchSpace
from nas.workload import Workload

if __name__ == "__main__":
    space, workload = SearchSpace.bundled("smoke"), Workload(input_length=32)
    profile(space, workload, whole_models=7, patience_s=1, seed=int(sys.argv[1]))
"""


def profile_anyhow(seed: int, raw: Path, progress) -> LatencyTable | None:
    """As `PROFILE`; None where the machine is too busy for a table: every launch is in the raw file all the same."""
    try:
        return profile(SMOKE, WORKLOAD, whole_models=7, patience_s=1, seed=seed, raw=raw, progress=progress)
    except MeasurementFailed as error:
        if "too noisy" not in str(error):
            raise
        return None


def _wait_for(condition, process: subprocess.Popen[bytes], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.long
def test_a_profile_that_was_killed_goes_on_where_it_was(cache, tmp_path):
    script = tmp_path / "profile.py"
    script.write_text(PROFILE)
    places = cache / "pocketformer" / "profiles"

    def journals() -> list[Path]:
        return list(places.glob("*/journal.jsonl"))

    process = subprocess.Popen([sys.executable, str(script), "5"], stderr=subprocess.PIPE)
    try:
        _wait_for(lambda: journals() and len(journalled_whole(journals()[0])) >= 20, process)
        with pytest.raises(Conflict):
            profile(SMOKE, WORKLOAD, whole_models=7, patience_s=1, seed=5)
    finally:
        process.kill()
        process.wait()
    journal = journals()[0]
    first = journalled_whole(journal)
    made = {path.name: path.stat().st_mtime_ns for path in journal.parent.glob("*.onnx")}
    assert len(made) == 1 + len(calls_of_space(SMOKE, WORKLOAD)) + 7
    told: list[tuple[str, int, int]] = []
    unchanged: list[bool] = []

    def progress(*news) -> None:
        told.append(news)
        if news[0] == "send":
            now = {path.name: path.stat().st_mtime_ns for path in journal.parent.glob("*.onnx")}
            unchanged.append(now == made)

    raw = tmp_path / "raw.jsonl"
    table = profile_anyhow(seed=5, raw=raw, progress=progress)
    every = journalled(raw)
    assert every[: len(first)] == first
    assert min(Counter(name for name, _ in every).values()) >= LEAST_PASSES
    if table is not None:
        assert len(every) == sum(len(measurement.launches_ns) for measurement in measurements(table))
        for key, entry in table.entries.items():
            assert list(entry.launches_ns) == [latency for name, latency in every if name == key]
    # Nothing was exported again, and counting went on from the launches that there were
    assert [news for news in told if news[0] == "export"] == [("export", len(made), len(made))]
    assert unchanged
    assert all(unchanged)
    assert next(done for phase, done, _ in told if phase == "measure") == len(first)


def journalled_whole(path: Path) -> list[tuple[str, int]]:
    """As `journalled`, of a file whose last line may be cut short."""
    lines = path.read_text().splitlines(keepends=True)
    found = [json.loads(line).get("launch") for line in lines if line.endswith("\n")]
    return [(x["graph"], x["latency_ns"]) for x in found if x is not None and x["graph"] != SENTINEL]


@pytest.mark.crash
def test_a_probe_that_is_killed_is_started_again_and_no_finished_launch_is_lost(cache, tmp_path):
    arrived: list[int] = []
    killed: list[int] = []

    def progress(phase: str, done: int, total: int) -> None:
        if phase != "measure":
            return
        arrived.append(done)
        if done in (15, 40):
            (running,) = (cache / "pocketformer" / "devices").glob("profile-*/.running")
            pid = int(running.read_text().splitlines()[0])
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    raw = tmp_path / "raw.jsonl"
    table = profile_anyhow(seed=6, raw=raw, progress=progress)
    assert len(set(killed)) == 2
    every = journalled(raw)
    # None was lost, and what had been done was not done again
    assert arrived == list(range(len(every) + 1))
    if table is not None:
        assert len(every) == sum(len(measurement.launches_ns) for measurement in measurements(table))
    wanted = {call.key: LEAST_PASSES for call in calls_of_space(SMOKE, WORKLOAD)}
    wanted |= {name: LEAST_PASSES * WHOLE_A_PASS for name, _ in every if name not in wanted}
    assert Counter(name for name, _ in every[: sum(wanted.values())]) == wanted


# Disturbed ----------------------------------------------------------------------------------------------------------


@contextmanager
def busy_core() -> Iterator[None]:
    """Keep the core busy that probes run on."""
    cpu = max(os.sched_getaffinity(0))
    spin = f"import os; os.sched_setaffinity(0, [{cpu}])\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", spin])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def without_privilege(directory: Path) -> str:
    """Return a Python that can't put itself before other processes."""
    if os.geteuid() != 0:
        return sys.executable
    script = directory / "python"
    script.write_text(f'#!/bin/sh\nexec setpriv --bounding-set=-sys_nice "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.mark.crash
@pytest.mark.parametrize("threads", [1, 2])
def test_beside_a_process_on_the_same_core_no_table_is_made_by_who_must_share_it(tmp_path, threads):
    machine = this_machine().model_copy(update={"threads": threads})
    device = machine.model_copy(update={"address": f"local?python={without_privilege(tmp_path)}"})
    raw = tmp_path / "raw.jsonl"
    with busy_core(), pytest.raises(MeasurementFailed, match="The machine is too noisy"):
        profile(SMOKE, WORKLOAD, device=device, whole_models=7, patience_s=1, raw=raw)
    starts = [line["start"] for line in map(json.loads, raw.read_text().splitlines()) if "start" in line]
    assert {start["scheduled"] for start in starts} == {"usual"}


@pytest.mark.crash
@pytest.mark.skipif(os.geteuid() != 0, reason="only root is put before other processes")
def test_beside_a_process_on_the_same_core_the_probe_of_root_is_put_first(tmp_path):
    raw = tmp_path / "raw.jsonl"
    with busy_core():
        profile_anyhow(seed=7, raw=raw, progress=lambda *_: None)
    lines = [json.loads(line) for line in raw.read_text().splitlines()]
    assert {line["start"]["scheduled"] for line in lines if "start" in line} == {"real-time"}
    assert statistics.median(line["launch"]["stolen"] for line in lines if "launch" in line) < 0.1
