"""The contract that every transport keeps, checked against real peers: this machine, an sshd, an adbd."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from transport_peers import Peer, PeerMissing, adbd_peer, sshd_peer

from nas.errors import DeviceLost, InvalidInput, MeasurementFailed
from nas.latency.describe import describe
from nas.latency.transports import Transport, client, far_shell, transport_at
from nas.latency.transports.address import parse_address

FAR = {"ssh": sshd_peer, "adb": adbd_peer}
TIMEOUT_S = 30.0
WAITS = """
import os, subprocess, time
child = subprocess.Popen(["sleep", "600"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
"""A program that tells its own pid and a child's, then sleeps: peers share our processes, so we can look for both."""


@pytest.fixture(scope="module", params=["local", "ssh", "adb"])
def any_peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    if request.param == "local":
        cache = tmp_path_factory.mktemp("cache")
        yield Peer("local", {"XDG_CACHE_HOME": str(cache)}, *[lambda: pytest.skip("this machine can't be lost")] * 3)
        return
    with ExitStack() as closing:
        # a socket's path is short: pytest's own folders are too deep for it
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        try:
            peer = closing.enter_context(FAR[request.param](folder))
        except PeerMissing as missing:
            pytest.skip(str(missing))
        yield replace(peer, address=f"{peer.address}?python={sys.executable}")


@pytest.fixture
def peer(any_peer: Peer, monkeypatch: pytest.MonkeyPatch) -> Peer:
    for name, value in any_peer.environment.items():
        monkeypatch.setenv(name, value)
    return any_peer


@pytest.fixture
def far_peer(peer: Peer) -> Peer:
    if peer.address == "local":
        pytest.skip("this machine can't be lost")
    return peer


@pytest.fixture
def key(peer: Peer) -> Iterator[str]:
    key = f"test-{secrets.token_hex(6)}"
    yield key
    with transport_at(peer.address, key) as transport:
        transport.clean_up()


@pytest.fixture
def transport(peer: Peer, key: str) -> Iterator[Transport]:
    with transport_at(peer.address, key) as transport:
        yield transport


def output(transport: Transport, *argv: str) -> list[str]:
    lines: list[str] = []
    transport.run(argv, lines.append, TIMEOUT_S)
    return lines


def python(transport: Transport, code: str, *args: str) -> list[str]:
    return output(transport, *transport.python, "-c", code, *args)


def place(transport: Transport) -> Path:
    """Return the working directory; the peers share our file system."""
    return Path(output(transport, "pwd")[0])


def until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return true()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def all_gone(pids: list[int], seconds: float = 5.0) -> bool:
    assert pids
    return until(lambda: all(map(is_gone, pids)), seconds)


def test_files_pushed_are_there_for_a_program_and_its_own_come_back(transport: Transport, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(bytes(range(256)) * 5000)
    (tmp_path / "plan.json").write_text("{}")
    transport.push([tmp_path / "model.bin", tmp_path / "plan.json"])
    code = """
import hashlib
data = open("model.bin", "rb").read()
open("result", "wb").write(data[::-1])
print(hashlib.sha256(data).hexdigest())
"""
    assert python(transport, code) == [hashlib.sha256((tmp_path / "model.bin").read_bytes()).hexdigest()]
    transport.pull("result", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "model.bin").read_bytes()[::-1]
    assert stat.S_IMODE(place(transport).stat().st_mode) == 0o700


def test_cleaning_up_removes_the_directory_and_it_can_be_used_again(transport: Transport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a")
    transport.push([tmp_path / "file"])
    there = place(transport)
    assert (there / "file").exists()
    transport.clean_up()
    assert not there.exists()
    transport.push([tmp_path / "file"])
    assert (there / "file").read_text() == "a"


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "two words",
        "äöü 模型 🚀",
        'it\'s "quoted"',
        "$HOME ${PATH} `id` $(id)",
        "a;b|c&d>e<f",
        "*",
        "\\n \\",
        "-x",
        "two\nlines",
        "~",
        "!!",
    ],
)
def test_an_argument_arrives_as_it_is(transport: Transport, argument: str) -> None:
    said = python(transport, "import json, sys; print(json.dumps(sys.argv[1:]))", argument, "last")
    assert json.loads(said[0]) == [argument, "last"]


@pytest.mark.parametrize(
    "name", ["two words", "ä模型.onnx", "$(touch made)`touch made`;touch made", "-rf", "'\"\\", "x" * 200, "a*"]
)
def test_a_file_name_is_never_read_as_anything_else(transport: Transport, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(name)
    transport.push([tmp_path / name])
    transport.push([tmp_path / name])
    assert os.listdir(place(transport)) == [name]
    transport.pull(name, tmp_path / "back")
    assert (tmp_path / "back").read_text() == name
    assert python(transport, "import sys; print(open(sys.argv[1]).read())", name) == [name]


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "..", ".", "", ".hidden", "two\nlines", "ä" * 200])
def test_a_name_that_is_not_plain_is_refused(transport: Transport, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="file: got"):
        transport.pull(name, tmp_path / "back")
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_not_there_leaves_none_here(transport: Transport, tmp_path: Path) -> None:
    with pytest.raises(MeasurementFailed, match="nothing-here"):
        transport.pull("nothing-here", tmp_path / "back")
    assert os.listdir(tmp_path) == []


def test_what_is_there_already_is_not_sent_again(peer: Peer, key: str, tmp_path: Path) -> None:
    files = [tmp_path / "same", tmp_path / "changed", tmp_path / "cut"]
    for file in files:
        file.write_bytes(secrets.token_bytes(100_000))
    with transport_at(peer.address, key) as transport:
        transport.push(files)
        there = place(transport)
    first = {name: (there / name).stat() for name in os.listdir(there)}
    time.sleep(0.02)
    changed = secrets.token_bytes(100_000)  # of the same size
    files[1].unlink()
    files[1].write_bytes(changed)
    (there / "cut").unlink()
    (there / "cut").write_bytes(files[2].read_bytes()[:50_000])  # as a broken transfer leaves it
    with transport_at(peer.address, key) as transport:
        transport.push(files)
        now = (there / "same").stat()
        assert (now.st_ino, now.st_ctime_ns) == (first["same"].st_ino, first["same"].st_ctime_ns)
        assert (there / "changed").read_bytes() == changed
        assert (there / "cut").read_bytes() == files[2].read_bytes()
        sent = {name: (there / name).stat().st_ctime_ns for name in os.listdir(there)}
        transport.push(files)
        assert sent == {name: (there / name).stat().st_ctime_ns for name in os.listdir(there)}


def test_overwriting_a_file_there_leaves_the_first_one_here_alone(transport: Transport, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "file").write_text("first")
    (tmp_path / "two" / "file").write_text("second")
    transport.push([tmp_path / "one" / "file"])
    transport.push([tmp_path / "two" / "file"])
    assert output(transport, "cat", "file") == ["second"]
    assert (tmp_path / "one" / "file").read_text() == "first"


@pytest.mark.crash
def test_a_device_without_room_says_so(transport: Transport, tmp_path: Path) -> None:
    there = place(transport)
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", there], check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        os.chmod(there, 0o700)
        (tmp_path / "file").write_bytes(bytes(2_000_000))
        with pytest.raises(MeasurementFailed, match=r"(?i)no space|wrote only") as failed:
            transport.push([tmp_path / "file"])
        assert not isinstance(failed.value, DeviceLost)
        (tmp_path / "file").write_bytes(bytes(500_000))
        transport.push([tmp_path / "file"])
        assert (there / "file").stat().st_size == 500_000
    finally:
        subprocess.run(["umount", there], check=True)


@pytest.mark.crash
def test_many_files_go_in_one_push(transport: Transport, tmp_path: Path) -> None:
    files = [tmp_path / f"{number:05d}.npy" for number in range(450)]
    for file in files:
        file.write_text(file.name)
    transport.push(files)
    there = place(transport)
    assert sorted(os.listdir(there)) == [file.name for file in files]
    assert all((there / file.name).read_text() == file.name for file in files)


def test_lines_come_while_the_program_runs_and_a_second_transport_has_its_directory(
    peer: Peer, transport: Transport, key: str, tmp_path: Path
) -> None:
    (tmp_path / "go").write_text("")
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        if line == "ready":
            with transport_at(peer.address, key) as second:
                second.push([tmp_path / "go"])

    code = """
import os, time
print("ready", flush=True)
while not os.path.exists("go"):
    time.sleep(0.02)
print("went", end="")
"""
    transport.run([*transport.python, "-c", code], on_line, TIMEOUT_S)
    assert lines == ["ready", "went"]


def test_a_large_output_arrives_whole(transport: Transport) -> None:
    said = python(transport, "for i in range(60_000): print(i, 'x' * 150)")
    assert said == [f"{i} {'x' * 150}" for i in range(60_000)]


def test_standard_input_is_empty(transport: Transport) -> None:
    assert python(transport, "import sys; print(repr(sys.stdin.read()))") == ["''"]


@pytest.mark.parametrize("code", [1, 3, 127, 137, 255])
def test_an_exit_code_comes_with_the_programs_last_words(transport: Transport, code: int) -> None:
    program = (
        f"import sys; print('out', end=''); print('first\\nno memory left for ä', file=sys.stderr); sys.exit({code})"
    )
    lines: list[str] = []
    with pytest.raises(MeasurementFailed, match=f"ended with code {code}: no memory left for ä$") as failed:
        transport.run([*transport.python, "-c", program], lines.append, TIMEOUT_S)
    assert not isinstance(failed.value, DeviceLost)
    assert lines == ["out"]


def test_a_program_that_dies_by_a_signal_is_no_lost_device(transport: Transport) -> None:
    with pytest.raises(MeasurementFailed, match="ended with code 139") as failed:
        python(transport, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert not isinstance(failed.value, DeviceLost)


def test_a_program_that_is_not_there_is_named(transport: Transport) -> None:
    with pytest.raises(MeasurementFailed, match="no-such-program"):
        output(transport, "no-such-program")


@pytest.mark.crash
def test_a_program_that_says_nothing_for_long_is_no_lost_device(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SILENCE_S", 2.0)
    monkeypatch.setattr(far_shell, "_BEAT_S", 1)
    assert python(transport, "import time; time.sleep(4); print('done')") == ["done"]
    with pytest.raises(MeasurementFailed, match=r"ended with code 1: half a line$"):  # no beat among the last words
        python(transport, "import sys, time; sys.stderr.write('half a '); time.sleep(3); sys.exit('line')")


def test_the_last_words_are_found_at_the_end_of_many(transport: Transport) -> None:
    with pytest.raises(MeasurementFailed, match=r"ended with code 1: the end$"):
        python(transport, "import sys; sys.stderr.write('words\\n' * 100_000); sys.exit('the end')")


def test_a_device_describes_itself_the_same_over_any_transport(transport: Transport) -> None:
    said = describe(transport)
    assert said.system == f"{platform.system()} {platform.release()}"
    assert said.memory_mb == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000
    assert (said.cores, said.usable_cores) == (os.cpu_count(), len(os.sched_getaffinity(0)))


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox", "mksh"])
@pytest.mark.parametrize("setsid", ["with setsid", "without setsid"])
@pytest.mark.crash
def test_a_device_may_have_any_posix_shell(
    shell: str, setsid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"no {shell} here: run tests/install_system_packages.sh as root")
    if setsid == "without setsid" and shell != "bash":
        pytest.skip("only macOS has none, and its sh is bash")
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ["cat", "chmod", "mkdir", "rm", "sleep", *(["setsid"] if setsid == "with setsid" else [])]:
        (commands / name).symlink_to(shutil.which(name) or "")
    (commands / "sh").symlink_to(found)  # busybox and bash go by the name they are called by
    monkeypatch.setenv("PATH", str(commands))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pids: list[int] = []
    with transport_at("local", "test-shell") as transport:
        with pytest.raises(MeasurementFailed, match="was not done after 1 s"):
            transport.run([*transport.python, "-c", WAITS], lambda line: pids.extend(map(int, line.split())), 1.0)
        assert all_gone(pids, 1.0)
        with pytest.raises(MeasurementFailed, match=r"ended with code 3: ä b$"):
            python(transport, "import sys; print(sys.argv[1], file=sys.stderr); sys.exit(3)", "ä b")
        assert os.listdir(tmp_path / "cache" / "pocketformer" / "devices" / "test-shell") == []

        def first() -> None:
            with pytest.raises(MeasurementFailed):
                python(transport, WAITS)

        thread = threading.Thread(target=first)
        thread.start()
        running = tmp_path / "cache" / "pocketformer" / "devices" / "test-shell" / ".running"
        assert until(lambda: running.exists() and len(running.read_text().splitlines()) == 2, 10)
        assert python(transport, "print(1)") == ["1"]
        thread.join(10)
        assert not thread.is_alive()
        transport.clean_up()


@pytest.mark.crash
def test_a_time_out_kills_the_program_and_its_children(transport: Transport) -> None:
    pids: list[int] = []
    start = time.monotonic()
    with pytest.raises(MeasurementFailed, match=r"was not done after 1\.5 s and was stopped"):
        transport.run([*transport.python, "-c", WAITS], lambda line: pids.extend(map(int, line.split())), 1.5)
    assert time.monotonic() - start < 6
    assert all_gone(pids, 1.0)
    assert os.listdir(place(transport)) == []


@pytest.mark.crash
def test_a_program_whose_line_is_refused_here_is_killed(transport: Transport) -> None:
    pids: list[int] = []

    def refuse(line: str) -> None:
        pids.extend(map(int, line.split()))
        raise ValueError("not that")

    with pytest.raises(ValueError, match="not that"):
        transport.run([*transport.python, "-c", WAITS], refuse, TIMEOUT_S)
    assert all_gone(pids)


@pytest.mark.crash
def test_what_a_program_leaves_behind_is_killed_when_it_ends(transport: Transport) -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL).pid)"
    assert all_gone([int(line) for line in python(transport, code)])


@pytest.mark.crash
def test_the_program_is_killed_when_we_are(peer: Peer, key: str) -> None:
    ours = f"""
import sys
from nas.latency.transports import transport_at
with transport_at({peer.address!r}, {key!r}) as transport:
    transport.run([*transport.python, "-c", {WAITS!r}], lambda line: print(line, flush=True), 600)
"""
    with ExitStack() as closing:
        left = closing.enter_context(tempfile.TemporaryDirectory())  # short, for a socket
        environment = os.environ | {"TMPDIR": left}
        process = closing.enter_context(
            subprocess.Popen([sys.executable, "-c", ours], stdout=subprocess.PIPE, text=True, env=environment)
        )
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert not is_gone(pids[0])
        process.send_signal(signal.SIGKILL)
    assert all_gone(pids)


@pytest.mark.parametrize("by", ["run", "clean_up"])
@pytest.mark.crash
def test_one_thing_runs_there_at_a_time(peer: Peer, transport: Transport, key: str, by: str) -> None:
    pids: list[int] = []
    failures: list[BaseException] = []

    def first() -> None:
        with transport_at(peer.address, key) as other:
            try:
                other.run([*other.python, "-c", WAITS], lambda line: pids.extend(map(int, line.split())), TIMEOUT_S)
            except MeasurementFailed as failure:
                failures.append(failure)

    thread = threading.Thread(target=first)
    thread.start()
    assert until(lambda: len(pids) == 2, 10)
    if by == "run":
        assert output(transport, "echo", "mine") == ["mine"]
    else:
        transport.clean_up()
    assert all_gone(pids)
    thread.join(10)
    assert [str(failure).partition(" ended")[2][:14] for failure in failures] == [" with code 137"]


def lose(far_peer: Peer, transport: Transport, how: Callable[[], None]) -> tuple[DeviceLost, float, list[int]]:
    """Run a program, take the device away after its first line; return the error, the seconds it took and its pids."""
    lines: list[str] = []
    start = [0.0]

    def on_line(line: str) -> None:
        lines.append(line)
        how()
        start[0] = time.monotonic()

    with pytest.raises(DeviceLost, match=r"can't be reached any more: \w") as lost:
        transport.run([*transport.python, "-c", WAITS], on_line, 60)
    assert len(lines) == 1  # what had come by then stays delivered
    return lost.value, time.monotonic() - start[0], [int(word) for word in lines[0].split()]


@pytest.mark.crash
def test_a_connection_cut_in_mid_run_is_a_lost_device_that_can_come_back(
    far_peer: Peer, transport: Transport, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("a")
    transport.push([tmp_path / "file"])
    _, seconds, pids = lose(far_peer, transport, far_peer.cut)
    assert seconds < 5
    assert all_gone(pids)

    def is_back() -> bool:
        try:
            return output(transport, "cat", "file") == ["a"]
        except DeviceLost:
            return False

    assert until(is_back, 10)
    transport.push([tmp_path / "file"])


@pytest.mark.crash
def test_a_device_that_falls_silent_is_lost_within_seconds(far_peer: Peer, transport: Transport) -> None:
    try:
        _, seconds, pids = lose(far_peer, transport, far_peer.silence)
    finally:
        far_peer.wake()
    assert seconds < 20
    assert all_gone(pids, 10)


@pytest.mark.crash
def test_a_device_that_is_not_there_is_lost_at_once(far_peer: Peer) -> None:
    address = parse_address(far_peer.address)
    nobody = replace(address, port=1) if address.port else replace(address, host="127.0.0.1:1")
    start = time.monotonic()
    with transport_at(str(nobody), "test-nobody") as transport, pytest.raises(DeviceLost, match="refused"):
        output(transport, "true")
    assert time.monotonic() - start < 10


def test_an_ssh_host_whose_key_is_not_known_is_refused(
    far_peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not far_peer.address.startswith("ssh"):
        pytest.skip("ssh alone knows hosts by their keys")
    text = Path(far_peer.environment["POCKETFORMER_SSH_CONFIG"]).read_text()
    (tmp_path / "config").write_text(text.replace("/known_hosts", "/nobody_known"))
    monkeypatch.setenv("POCKETFORMER_SSH_CONFIG", str(tmp_path / "config"))
    with transport_at(far_peer.address, "test-stranger") as transport, pytest.raises(DeviceLost, match="Host key"):
        output(transport, "true")


@pytest.mark.parametrize(
    "address",
    [
        "", "localhost", "local://", "local:", "LOCAL", "telnet://host", "ssh:host", "ssh://", "ssh://-oProxyCommand=id",
        "ssh://-l@host", "ssh://user@-x", "ssh://a b", "ssh://host/path", "ssh://user:secret@host", "ssh://host:0",
        "ssh://host:65536", "ssh://host:port", "ssh://host;id", "ssh://$(id)", "ssh://host\n", "adb://", "adb://-s",
        "adb://a b", "adb://host:99999", "adb://serial/x", "adb://$(id)", "local?python=",
        "local?python=-c", "local?shell=x",
        "ssh://host?python=a&python=b", "ssh://host?", "ssh://host?python=a%0Ab", "ssh://host?python",
    ],
)  # fmt: skip
def test_a_bad_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match=r"^device\.address: got"):
        transport_at(address, "key")


@pytest.mark.parametrize(
    ("address", "python"),
    [
        ("ssh://host", "python3"),
        ("ssh://pi@raspberrypi.local:2222?python=/opt/my%20venv/bin/python3", "/opt/my venv/bin/python3"),
        ("ssh://[::1]:22", "python3"),
        ("ssh://[fe80::1%eth0]", "python3"),
        ("adb://emulator-5554", "python3"),
        ("adb://192.168.1.5:5555?python=/data/local/tmp/python3", "/data/local/tmp/python3"),
        ("adb://adb-R58-xyz._adb-tls-connect._tcp", "python3"),
        ("local?python=/usr/bin/python3", "/usr/bin/python3"),
    ],
)
def test_an_address_names_its_parts_and_reads_back_the_same(address: str, python: str) -> None:
    parsed = parse_address(address)
    assert parsed.python == python
    assert parse_address(str(parsed)) == parsed


def test_this_machine_runs_the_python_that_runs_us() -> None:
    assert transport_at("local", "key").python == (sys.executable, "-I")


@pytest.mark.parametrize("key", ["", "UPPER", "a/b", "..", "a b", "x" * 81, "a;b", "a\n"])
def test_a_key_that_is_no_plain_name_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput, match=r"^device\.key: got"):
        transport_at("local", key)
