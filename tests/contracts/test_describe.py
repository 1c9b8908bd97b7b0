"""What a device says of itself: this machine against Python's own readings, a phone's files in place of ours."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.errors import MeasurementFailed
from nas.latency import describe as describe_module
from nas.latency.describe import CpuFrequency, Description, ThermalZone, describe, read_description
from nas.latency.transports import transport_at

SCRIPT = Path(describe_module.__file__).with_name("describe.sh")
SHELLS = [["dash"], ["bash", "--posix"], ["busybox", "sh"], ["mksh"]]

PHONE_CPUINFO = """\
processor\t: 0
BogoMIPS\t: 38.40
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd05
CPU revision\t: 0

processor\t: 1
CPU implementer\t: 0x41
CPU part\t: 0xd05

processor\t: 2
CPU implementer\t: 0x51
CPU part\t: 0xd0b

Hardware\t: Qualcomm Technologies, Inc SM8250
"""


def test_this_machine_is_described_as_python_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with transport_at("local", "test-describe") as transport:
        said = describe(transport)
    assert said.system == f"{platform.system()} {platform.release()}"
    assert said.architecture == platform.machine()
    if sys.platform != "linux":
        pytest.skip("the rest is read from Linux's /proc and /sys")
    models = [x.partition(":")[2].strip() for x in _lines("/proc/cpuinfo") if x.startswith("model name")]
    assert said.cpu_model == (models[0] if models else None)
    assert said.memory_mb == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000
    assert said.cores == os.cpu_count()
    assert said.usable_cores == len(os.sched_getaffinity(0))
    assert said.load_average is not None
    assert all(abs(a - b) < 0.5 for a, b in zip(said.load_average, os.getloadavg(), strict=True))
    clocks = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/cpuinfo_max_freq")
    maxima = {int(file.parts[-3][3:]): int(file.read_text()) for file in clocks}
    assert {x.cpu: x.maximum_khz for x in said.frequencies} == maxima
    zones = {file.parent: file for file in Path("/sys/class/thermal").glob("thermal_zone*/temp") if _readable(file)}
    assert len(said.thermal_zones) == len(zones)
    assert sorted(x.name for x in said.thermal_zones) == sorted((x / "type").read_text().strip() for x in zones)


def test_the_cpus_that_a_program_may_use_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("needs Linux's CPU affinity")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(mine)})
    try:
        with transport_at("local", "test-describe") as transport:
            said = describe(transport)
    finally:
        os.sched_setaffinity(0, mine)
    assert said.usable_cores == 1
    assert said.cores == os.cpu_count()


@pytest.fixture
def phone(tmp_path: Path) -> Callable[[list[str]], Description]:
    """Run the script with a phone's files mounted over ours, in a mount namespace of its own."""
    unshare = shutil.which("unshare")
    mine = [] if os.geteuid() == 0 else ["--map-root-user"]
    if unshare is None or subprocess.run([unshare, *mine, "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here (unshare -m)")
    (tmp_path / "cpuinfo").write_text(PHONE_CPUINFO)
    cpus = tmp_path / "sys" / "devices" / "system" / "cpu"
    for cpu, (governor, current, maximum, limit) in enumerate(
        [
            ("schedutil", 300000, 1804800, 1804800),
            ("schedutil", 1804800, 1804800, 1804800),
            ("walt", 0, 2841600, 1900800),
        ]
    ):
        folder = cpus / f"cpu{cpu}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{governor}\n")
        (folder / "scaling_cur_freq").write_text(f"{current}\n")
        (folder / "cpuinfo_max_freq").write_text(f"{maximum}\n")
        (folder / "scaling_max_freq").write_text(f"{limit}\n")
    (cpus / "present").write_text("0-2\n")
    (cpus / "cpufreq").mkdir()
    for number, (kind, value) in enumerate([("cpu-0-0-usr", "41200"), ("battery", "-3000"), ("quiet sensor", "")]):
        zone = tmp_path / "sys" / "class" / "thermal" / f"thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(value)
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "getprop").write_text(
        "#!/bin/sh\ncase $1 in ro.product.model) echo Pixel 5a;; ro.product.manufacturer) echo Google;; "
        "ro.soc.model) echo SM8250;; esac\n"
    )
    (commands / "getprop").chmod(0o755)

    def run(shell: list[str]) -> Description:
        if shutil.which(shell[0]) is None:
            pytest.skip(f"no {shell[0]} here")
        mounts = 'mount --bind "$1/cpuinfo" /proc/cpuinfo && mount --bind "$1/sys" /sys && PATH=$1/bin:$PATH && shift'
        printed = subprocess.run(
            [unshare, *mine, "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh", tmp_path, *shell, SCRIPT],
            capture_output=True,
            text=True,
            check=True,
        )
        assert printed.stderr == ""
        return read_description(printed.stdout.splitlines())

    return run


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_a_phone_tells_its_cores_clocks_and_temperatures(
    phone: Callable[[list[str]], Description], shell: list[str]
) -> None:
    said = phone(shell)
    assert said.product == "Google Pixel 5a"
    assert said.soc == "SM8250"
    assert said.cpu_model is None
    assert said.arm_cores == ("0x41/0xd05", "0x51/0xd0b")
    assert said.cores == 3
    assert said.governor == "schedutil/walt"
    assert said.frequencies == (
        CpuFrequency(cpu=0, current_khz=300_000, maximum_khz=1_804_800, limit_khz=1_804_800),
        CpuFrequency(cpu=1, current_khz=1_804_800, maximum_khz=1_804_800, limit_khz=1_804_800),
        CpuFrequency(cpu=2, current_khz=0, maximum_khz=2_841_600, limit_khz=1_900_800),
    )
    assert said.thermal_zones == (
        ThermalZone(name="cpu-0-0-usr", millidegrees=41_200),
        ThermalZone(name="battery", millidegrees=-3_000),
    )


def test_what_a_device_does_not_say_is_none() -> None:
    assert read_description(["end"]) == Description()


@pytest.mark.parametrize(
    "line",
    [
        "memory_kib lots", "memory_kib", "memory_kib 0", "load 1 2", "load nan 0 0", "load a b c", "present_list 3-1",
        "present_list x", "cores -1", "cores 0", "usable ²", "current_khz 0", "limit_khz x 5", "thermal hot cpu",
        "thermal 1", "unheard_of 5", "",
    ],
)  # fmt: skip
def test_what_can_not_be_understood_counts_as_not_said(line: str) -> None:
    assert read_description([line, "end"]) == Description()


def test_macos_answers_are_read() -> None:
    said = read_description(
        "system Darwin 23.5.0\ncores 8\ncpu_model Apple M2\nmemory_bytes 17179869184\n"
        "load_braces { 1.5 2.25 3 }\nend".splitlines()
    )
    assert said == Description(
        system="Darwin 23.5.0", cpu_model="Apple M2", cores=8, memory_mb=17179, load_average=(1.5, 2.25, 3.0)
    )


@pytest.mark.parametrize("lines", [[], ["system Linux 6.1"]])
def test_a_description_cut_short_is_none(lines: list[str]) -> None:
    with pytest.raises(MeasurementFailed, match="to the end"):
        read_description(lines)


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _readable(file: Path) -> bool:
    try:
        return bool(file.read_text().strip())
    except OSError:
        return False
