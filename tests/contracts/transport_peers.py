"""Peers: real devices' ends of the transports on this machine, an sshd on loopback and an adbd in a network of its own.

Nothing here listens on an address that others reach: sshd on 127.0.0.1 alone; adbd, which lets everybody in as the
user that started it, in a network namespace with nothing but its own loopback. adb's server runs in there too and
is reached from outside by a socket of the file system.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ADBD_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pocketformer-tests" / "adbd"
"""Where tests/install_system_packages.sh unpacks adbd with its libraries."""


class PeerMissing(Exception):
    """What the peer needs can't be had here; the message says what."""


@dataclass
class Peer:
    """A device that a transport can reach, and how to take it away."""

    address: str
    environment: dict[str, str]
    """What a process needs in its environment to reach it."""
    cut: Callable[[], None]
    """End the device's part of the connections abruptly; new ones can be made."""
    silence: Callable[[], None]
    """Make the device fall silent, its connections left open."""
    wake: Callable[[], None]
    """End the silence."""


@contextmanager
def sshd_peer(folder: Path) -> Iterator[Peer]:
    """Run an OpenSSH server on loopback with its own keys, known hosts and the client's configuration for it."""
    server = shutil.which("sshd", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
    if server is None or shutil.which("ssh") is None:
        raise PeerMissing("no OpenSSH server or client: run tests/install_system_packages.sh as root")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd of Debian wants it when root starts it
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = _free_port()
    (folder / "authorized_keys").write_bytes((folder / "user.pub").read_bytes())
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\n"
        f"PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\n"
    )
    (folder / "ssh_config").write_text(
        f"Host 127.0.0.1\nUserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile none\n"
        f"StrictHostKeyChecking yes\nIdentityFile {folder}/user\nIdentitiesOnly yes\nIdentityAgent none\n"
    )
    log = (folder / "sshd.log").open("wb")
    process = subprocess.Popen([server, "-D", "-e", "-f", folder / "sshd_config"], stdout=log, stderr=log)
    try:
        _wait_for(lambda: _listens(port), process, folder / "sshd.log")

        def signal_sessions(number: int) -> None:
            for pid in descendants(process.pid):
                if "sshd" in _program(pid):
                    os.kill(pid, number)

        yield Peer(
            f"ssh://{getpass.getuser()}@127.0.0.1:{port}",
            {"POCKETFORMER_SSH_CONFIG": str(folder / "ssh_config")},
            cut=lambda: signal_sessions(signal.SIGKILL),
            silence=lambda: signal_sessions(signal.SIGSTOP),
            wake=lambda: signal_sessions(signal.SIGCONT),
        )
    finally:
        for pid in [*descendants(process.pid), process.pid]:
            if "sshd" in _program(pid):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        log.close()


@contextmanager
def adbd_peer(folder: Path) -> Iterator[Peer]:
    """Run adbd and adb's server in a network namespace of their own; every client of `environment` finds them."""
    adb, unshare = shutil.which("adb"), shutil.which("unshare")
    daemon = ADBD_CACHE / "usr" / "lib" / "android-sdk" / "platform-tools" / "adbd"
    if adb is None or unshare is None or not daemon.exists():
        raise PeerMissing("no adb or no adbd: run tests/install_system_packages.sh as root on Debian")
    mine = [] if os.geteuid() == 0 else ["--map-root-user"]
    if subprocess.run([unshare, *mine, "-n", "true"], capture_output=True, check=False).returncode:
        raise PeerMissing("no network namespace can be made here (unshare -n), and adbd would let everybody in")
    log_path = folder / "adbd.log"
    closing = ExitStack()
    log = closing.enter_context(log_path.open("wb"))
    server_socket = f"localfilesystem:{folder}/adb"
    shell = subprocess.Popen(
        [unshare, *mine, "-n", "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
    )
    assert shell.stdin is not None
    assert shell.stdout is not None

    def tell(command: str) -> None:
        print(command, file=shell.stdin, flush=True)

    def start(command: str) -> int:
        assert shell.stdout is not None
        tell(f"{command} >&2 </dev/null & echo $!")
        return int(shell.stdout.readline())

    loader = next((ADBD_CACHE / "usr").glob("lib*/**/ld-linux*.so.*"))
    libraries = next((ADBD_CACHE / "usr" / "lib").glob("*-linux-gnu*"))
    port = _free_port()
    start_adbd = f"ADBD_PORT={port} {loader} --library-path {libraries}:{libraries}/android {daemon}"
    pids: list[int] = []

    def cut() -> None:
        os.kill(pids[-1], signal.SIGKILL)
        pids.append(start(start_adbd))

    # adbd also wants the port on vsock, which no network namespace keeps in: taken, it can't have it
    with suppress(OSError):  # a system without vsock
        taken = closing.enter_context(socket.socket(socket.AF_VSOCK))
        taken.bind((socket.VMADDR_CID_ANY, port))
    try:
        tell("ip link set lo up")
        start(f"HOME={folder} {adb} -L {server_socket} nodaemon server")
        pids.append(start(start_adbd))
        _wait_for((folder / "adb").exists, shell, log_path)  # a client that finds no server would start one, outside
        environment = {"ADB_SERVER_SOCKET": server_socket}
        address = f"127.0.0.1:{port}"

        def connects() -> bool:
            asked = subprocess.run(
                [adb, "connect", address], env=os.environ | environment, capture_output=True, text=True, check=False
            )
            return "connected to" in asked.stdout

        _wait_for(connects, shell, log_path)
        yield Peer(
            f"adb://{address}",
            environment,
            cut=cut,
            silence=lambda: tell("ip link set lo down"),
            wake=lambda: tell("ip link set lo up"),
        )
    finally:
        for pid in descendants(shell.pid):
            if "adb" in _program(pid):
                os.kill(pid, signal.SIGKILL)
        shell.stdin.close()
        shell.wait(10)
        shell.stdout.close()
        closing.close()


def descendants(pid: int) -> list[int]:
    """Return the processes below one."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue  # it has just ended
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, left = [], [pid]
    while left:
        mine = children.get(left.pop(), [])
        found += mine
        left += mine
    return found


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        assert isinstance(port, int)
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_for(ready: Callable[[], bool], process: subprocess.Popen[str] | subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 20
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the peer did not come up:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
