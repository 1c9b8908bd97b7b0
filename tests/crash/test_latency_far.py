"""A device that is far, whole: profile and verify over a real sshd and a real adbd, with the device's side killed.

Here every launch counts as good: what becomes of one on a busy machine is told in test_latency_profile.py, and these
tests are to come to the same end on any.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import nas.latency.campaign
import nas.latency.graphs
import nas.latency.measurement
import nas.latency.profile
import nas.latency.verify
from nas.errors import DeviceLost, MeasurementFailed
from nas.latency.bench import SENTINEL, WHOLE_A_PASS
from nas.latency.campaign import LEAST_PASSES
from nas.latency.device import Device, this_machine
from nas.latency.predict import LatencyPredictor
from nas.latency.profile import profile
from nas.latency.reach import device_at
from nas.latency.table import LatencyTable
from nas.latency.transports import transport_at
from nas.latency.verify import fresh_models, verify
from nas.space import SearchSpace
from nas.sub_blocks.space_calls import calls_of_space
from nas.workload import Workload

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("contracts", "integration")]
from cli_runner import nas as command
from transport_peers import PeerMissing, adbd_peer, descendants, sshd_peer

from tests.patience import patiently

pytestmark = pytest.mark.crash
SMOKE = SearchSpace.bundled("smoke")
WORKLOAD = Workload(input_length=32)
MODELS = 8
"""A correction wants at least six that are valid."""
GRAPHS = 16 + MODELS
"""The sentinel's left out."""
WAITS_S = (0.2, 0.5, 1.0, 2.0)
"""In place of those that give a person the time to plug a cable in again."""

Launch = tuple[str, int, tuple[int, ...]]
"""(graph, nanoseconds, those of its iterations): no two launches are equal by chance."""


@dataclass
class Far:
    """A device at the other end, and how it is killed; the peers share our processes and files."""

    address: str
    cache: Path
    """Ours, where unfinished profiles are."""
    cut: Callable[[], None]
    """End its part of the connections; new ones can be made at once."""
    leave: Callable[[], None]
    """End its part of the connections; none can be made until `come_back`."""
    come_back: Callable[[], None]
    pattern: str
    """The path of a working directory there, `KEY` for its key."""

    def working_directory(self, workplace: Path) -> Path:
        return Path(self.pattern.replace("KEY", workplace.name))

    def kill_probe(self, workplace: Path) -> int:
        """Kill the program that runs there for a workplace; return its process id."""
        pid = int((self.working_directory(workplace) / ".running").read_text().split()[0])
        assert b"probe.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
        os.kill(pid, signal.SIGKILL)
        return pid

    def workplace(self) -> Path:
        """The directory of the unfinished profile that was the last to get a launch."""
        journals = (self.cache / "pocketformer" / "profiles").glob("profile-*/journal.jsonl")
        return max(journals, key=lambda path: path.stat().st_mtime_ns).parent


@dataclass
class Sshd:
    """The SSH server of a peer, that can be stopped and started again at its port."""

    folder: Path
    port: int
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def sessions(self) -> list[int]:
        return [pid for pid in descendants(self._listener()) if "sshd" in _program(pid)]

    def _listener(self) -> int:
        mine = [pid for pid in descendants(os.getpid()) if f"{self.folder}/sshd_config" in _program(pid)]
        return mine[0]

    def cut(self) -> None:
        for pid in self.sessions():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        listener = self._listener()
        os.kill(listener, signal.SIGSTOP)  # it lets nobody in while its sessions end
        self.cut()
        os.kill(listener, signal.SIGKILL)
        while self._answers():
            time.sleep(0.02)
        for process in self.started:
            process.wait(10)

    def start(self) -> None:
        program = shutil.which("sshd", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
        assert program is not None
        with (self.folder / "sshd.log").open("ab") as log:
            argv = [program, "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self.started.append(subprocess.Popen(argv, stdout=log, stderr=log))
        while not self._answers():
            assert self.started[-1].poll() is None
            time.sleep(0.02)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self) -> None:
        for process in self.started:
            for pid in [*descendants(process.pid), process.pid] if process.poll() is None else []:
                os.kill(pid, signal.SIGKILL)
            process.wait(10)


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@pytest.fixture(scope="module", params=["ssh", "adb"])
def far(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    cache = tmp_path_factory.mktemp("cache")
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory()))  # a socket's path is short
        try:
            peer = closing.enter_context({"ssh": sshd_peer, "adb": adbd_peer}[request.param](folder))
        except PeerMissing as missing:
            pytest.skip(str(missing))
        patch = closing.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(nas.latency.campaign, "WAITS_S", WAITS_S)
        # In this process: to start others takes longer
        patch.setattr(nas.latency.graphs, "WORTH_PROCESSES", 2 * GRAPHS)
        for name in ("SETTLED_SPREAD", "MOST_SPREAD", "MOST_LATE_EARLY", "CALM_SENTINEL"):
            patch.setattr(nas.latency.measurement, name, 100.0)
        patch.setattr(nas.latency.measurement, "LEAST_UNINTERRUPTED", 0)
        patch.setattr(nas.latency.measurement, "MOST_STOLEN", 1.0)
        for name, value in {**peer.environment, "XDG_CACHE_HOME": str(cache)}.items():
            patch.setenv(name, value)
        address = f"{peer.address}?python={sys.executable}"
        said: list[str] = []
        with transport_at(address, "test-where") as transport:
            transport.run(["pwd"], said.append, 30)
            transport.clean_up()
        pattern = said[0].replace("test-where", "KEY")

        def clear() -> None:
            """Remove what a test that failed has left there."""
            for workplace in (cache / "pocketformer" / "profiles").glob("profile-*"):
                shutil.rmtree(pattern.replace("KEY", workplace.name), ignore_errors=True)

        closing.callback(clear)
        if request.param == "ssh":
            sshd = Sshd(folder, int(peer.address.rpartition(":")[2]))
            closing.callback(sshd.end)
            yield Far(address, cache, sshd.cut, sshd.stop, sshd.start, pattern)
            return

        def leave() -> None:
            for pid in descendants(os.getpid()):
                if _program(pid).rstrip().endswith("/adbd"):
                    os.kill(pid, signal.SIGKILL)

        yield Far(address, cache, peer.cut, leave, peer.cut, pattern)  # a cut starts it again


def launches_in(path: Path) -> list[Launch]:
    """Every launch in a journal or in the probe's own record, the sentinel's and a line cut short left out."""
    lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    found = [json.loads(line).get("launch") for line in lines]
    return [(x["graph"], x["latency_ns"], tuple(x["samples_ns"])) for x in found if x and x["graph"] != SENTINEL]


def launches_of(table: LatencyTable) -> Counter[tuple[str, int]]:
    found: Counter[tuple[str, int]] = Counter()
    for key, entry in table.entries.items():
        found.update((key, latency_ns) for latency_ns in entry.launches_ns)
    for model in table.whole_models:
        for phase, measurement in model.phases.items():
            found.update((f"{model.architecture['id']}.{phase}", latency_ns) for latency_ns in measurement.launches_ns)
    return found


def check_nothing_lost_or_doubled(table: LatencyTable, raw: Path, told: list[int]) -> None:
    """The table has the launches of the journal, each once, and they were counted as they came."""
    every = launches_in(raw)
    assert launches_of(table) == Counter((graph, latency_ns) for graph, latency_ns, _ in every)
    assert len(set(every)) == len(every)
    assert told == list(range(told[0], len(every) + 1))
    # What had been done was not done again: the first passes are just so many of each graph
    launched = LEAST_PASSES * (GRAPHS + (WHOLE_A_PASS - 1) * MODELS)
    first_passes = Counter(graph for graph, _, _ in every[:launched])
    assert len(first_passes) == GRAPHS
    assert Counter(first_passes.values()) == {LEAST_PASSES: GRAPHS - MODELS, LEAST_PASSES * WHOLE_A_PASS: MODELS}


# Whole --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def device(far: Far) -> Device:
    return device_at(far.address, name="far")


@pytest.fixture(scope="module")
def table(device: Device) -> LatencyTable:
    return patiently(
        lambda patience_s: profile(SMOKE, WORKLOAD, device=device, whole_models=MODELS, patience_s=patience_s)
    )


def test_a_far_device_is_described_as_it_would_describe_itself(far: Far, device: Device) -> None:
    # It is this machine, by another way
    here = this_machine()
    other = {"name": "far", "address": far.address, "memory_mb": device.memory_mb}
    assert device == here.model_copy(update=other)
    assert device.fingerprint == here.fingerprint
    assert device.memory_mb == pytest.approx(here.memory_mb, rel=0.01)


def test_a_table_is_measured_far_away_and_covers_the_space(far: Far, table: LatencyTable) -> None:
    assert set(table.entries) == {call.key for call in calls_of_space(SMOKE, WORKLOAD)}
    assert [model.reason for model in table.whole_models] == [None] * MODELS
    assert LatencyPredictor(table).coverage(SMOKE) == 1
    assert table.device.address == far.address
    assert table.circumstances.before is not None
    assert table.circumstances.before.cores == os.cpu_count()


def test_fresh_models_are_verified_far_away_though_the_connection_is_cut_meanwhile(
    far: Far, table: LatencyTable
) -> None:
    told: list[int] = []

    def progress(phase: str, done: int, _: int) -> None:
        if phase == "measure":
            told.append(done)
            if done == 7:
                far.cut()

    models = fresh_models(table, SMOKE, 3, seed=1)
    found = verify(table, models, table.device, patience_s=8, progress=progress)
    assert [row.architecture for row in found.rows] == models
    for row in found.rows:
        # Wide, for the machine that tests run on is seldom calm
        assert 1 / 3 < row.measured.latency_ms / row.prediction.latency_ms < 3
    assert told == list(range(len(told)))
    assert len(told) > LEAST_PASSES * 3


# Killed -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["probe", "connection", "files"])
def test_a_profile_goes_on_by_itself_when_the_device_side_is_killed(
    far: Far, device: Device, kind: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    told: list[int] = []
    snapshots: list[tuple[list[Launch], list[Launch]]] = []
    places: list[Path] = []

    def kill() -> None:
        workplace = far.workplace()
        there = far.working_directory(workplace)
        places.append(there)
        if kind == "probe":
            far.kill_probe(workplace)
        else:
            far.cut()
        if kind == "files":  # a device that started anew, with its temporary files gone
            shutil.rmtree(there)
            snapshots.append((launches_in(workplace / "journal.jsonl"), []))
        else:
            snapshots.append((launches_in(workplace / "journal.jsonl"), launches_in(there / "launches.jsonl")))

    def progress(phase: str, done: int, _: int) -> None:
        if phase == "measure":
            told.append(done)
            if done in (15, 60, 130):
                kill()

    raw = tmp_path / "raw.jsonl"
    seed = 10 + len(kind)
    options = {"device": device, "whole_models": MODELS, "patience_s": 3, "seed": seed}
    table = profile(SMOKE, WORKLOAD, **options, raw=raw, progress=progress)
    every = launches_in(raw)
    assert [len(arrived) for arrived, _ in snapshots] == [15, 60, 130]
    for arrived, made in snapshots:
        assert every[: len(arrived)] == arrived
        # What the probe had made by then: all that arrived, and perhaps some that were under way
        record_property(f"{kind} killed after {len(arrived)}", f"{sum(x in set(every) for x in made)} of {len(made)}")
    check_nothing_lost_or_doubled(table, raw, told)
    assert told[0] == 0
    (place,) = set(places)
    assert not place.exists()


def test_a_profile_whose_device_stays_away_says_what_is_kept_and_goes_on_when_it_is_back(
    far: Far, device: Device, tmp_path: Path
) -> None:
    options = {"device": device, "whole_models": MODELS, "patience_s": 3, "seed": 30}
    told: list[tuple[str, int, int]] = []

    def leaves(phase: str, done: int, total: int) -> None:
        told.append((phase, done, total))
        if (phase, done) == ("measure", 130):
            far.leave()

    try:
        with pytest.raises(DeviceLost) as lost:
            profile(SMOKE, WORKLOAD, **options, progress=leaves)
        workplace = far.workplace()
        kept = launches_in(workplace / "journal.jsonl")
        assert len(kept) >= 130
        made = {path.name: path.stat().st_mtime_ns for path in workplace.glob("*.onnx")}
        assert len(made) == 1 + GRAPHS
        with pytest.raises(DeviceLost):
            profile(SMOKE, WORKLOAD, **options)
        with pytest.raises(DeviceLost):
            device_at(far.address, name="far")
        assert launches_in(workplace / "journal.jsonl") == kept
    finally:
        far.come_back()
    told.clear()
    unchanged: list[bool] = []

    def goes_on(phase: str, done: int, total: int) -> None:
        told.append((phase, done, total))
        if phase == "send":
            unchanged.append({path.name: path.stat().st_mtime_ns for path in workplace.glob("*.onnx")} == made)

    raw = tmp_path / "raw.jsonl"
    table = profile(SMOKE, WORKLOAD, **options, raw=raw, progress=goes_on)
    assert [news for news in told if news[0] == "export"] == [("export", 1 + GRAPHS, 1 + GRAPHS)]
    assert unchanged
    assert all(unchanged)
    assert launches_in(raw)[: len(kept)] == kept
    counts = [done for phase, done, _ in told if phase == "measure"]
    assert counts[0] == len(kept)
    check_nothing_lost_or_doubled(table, raw, counts)
    assert not workplace.exists()
    assert not far.working_directory(workplace).exists()
    assert re.search(rf"\b{len(kept)} launches\b.* kept", str(lost.value)), str(lost.value)


# Refused ------------------------------------------------------------------------------------------------------------


def test_a_far_python_without_the_runtime_is_refused_with_what_to_install(far: Far, tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=False)
    bare = f"{far.address.partition('?')[0]}?python={tmp_path}/empty/bin/python3"
    with pytest.raises(MeasurementFailed, match=r"pip install numpy onnxruntime"):
        device_at(bare, name="far")
    run = command(
        *("device", "profile", "far", "--address", bare, "--space", "smoke"),
        *("--database", f"sqlite:///{tmp_path}/far.db"),
    )
    assert run.code == 1
    assert "pip install numpy onnxruntime" in " ".join(run.err.split())
    assert "?python=" in run.err
    assert "Traceback" not in run.err


def test_a_python_that_is_not_there_is_named(far: Far) -> None:
    with pytest.raises(MeasurementFailed, match=r"/no/such/python3"):
        device_at(f"{far.address.partition('?')[0]}?python=/no/such/python3", name="far")


# By the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("far", ["ssh"], indirect=True)
def test_the_command_line_profiles_and_verifies_a_far_device(far: Far, tmp_path: Path) -> None:
    database = ("--database", f"sqlite:///{tmp_path}/far.db", "--input-length", 32)
    quick = ("--whole-models", MODELS, "--patience", 5)
    made = command(
        "device", "profile", "far", "--address", far.address, "--space", "smoke", "--json", *quick, *database
    )
    assert made.code == 0, made.err
    assert made.json["device"] == "far"
    assert made.json["entries"] == 16
    assert made.json["whole_models"] == MODELS
    checked = command(
        "device", "verify", "far", "--space", "smoke", "--models", 3, "--patience", 5, "--json", *database
    )
    assert checked.code in (0, 1), checked.err
    report = checked.json
    assert checked.code == (0 if report["agrees"] else 1)
    assert len(report["models"]) == 3
    for row in report["models"]:
        assert 1 / 3 < row["measured_ms"] / row["predicted_ms"] < 3
