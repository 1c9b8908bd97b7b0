"""`nas demo`, for real; in the long run twice in one folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

COMMAND = [sys.executable, "-m", "nas.cli", "demo", "--space", "smoke", "--trials", "4", "--steps", "20"]
ROWS = ("architecture", "parameters", "macs", "size_mb", "error_rate", "loss", "latency_ms@this-machine")
RUNS = 2
"""Models of this space take a twentieth of a millisecond, and other tests are running beside this one: a run whose
latency is more than 15 % off says so, and its exit code is 1. One of two must find a calm moment."""


def run(folder: Path, *, leave: bool) -> tuple[str, str, int]:
    """Run the demo; return what it printed and its exit code. Leaves with --exit, or by Ctrl-C once it serves on."""
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith("POCKETFORMER_")}
    process = subprocess.Popen(
        [*COMMAND, *(["--exit"] if leave else [])],
        cwd=folder,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=(folder / "stderr.log").open("w"),
        text=True,
    )
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if serving := re.search(r"Serving (http://\S+) until Ctrl-C", line):
            assert httpx.get(serving[1], trust_env=False).is_success
            process.send_signal(signal.SIGINT)
    return "".join(lines), (folder / "stderr.log").read_text(), process.wait(60)


def comparison(out: str) -> dict[str, tuple[str, str, bool]]:
    """Return the demo's last table as name → (recorded, rebuilt, agrees)."""
    rows = {}
    for line in out.splitlines():
        fields = re.split(r" {2,}", line.strip())
        name = fields[0].split(" ")[0]
        if name in ROWS and len(fields) >= 5:
            rows[name] = (fields[1], fields[2], fields[4] == "yes")
    return rows


@pytest.mark.timeout(600)
def test_the_demo_arrives_at_columns_that_agree(tmp_path: Path) -> None:
    arrives(tmp_path, leave=True, left_something=False)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_second_demo_works_on_what_the_first_one_left_and_serves_on_until_it_is_stopped(tmp_path: Path) -> None:
    arrives(tmp_path, leave=True, left_something=False)
    arrives(tmp_path, leave=False, left_something=True)


def arrives(folder: Path, *, leave: bool, left_something: bool) -> None:
    for _ in range(RUNS):
        out, err, code = run(folder, leave=leave)
        rows = comparison(out)
        if "too busy to be measured" in err:
            continue
        assert set(rows) == set(ROWS), out + err
        assert all(agrees for name, (_, _, agrees) in rows.items() if name != ROWS[-1])
        assert rows["architecture"][0] == rows["architecture"][1]
        assert code == (0 if rows[ROWS[-1]][2] else 1)
        if code == 0:
            break
        left_something = True
    assert code == 0, out
    assert "Everything agrees." in out
    assert re.search(r"4 candidates trained, hypervolume 0\.\d+; never trained: \d+ seen before, \d+ over", out)
    assert re.search(r"Dashboard: http://127\.0\.0\.1:\d+/jobs/j-[0-9a-f]{20}", out)
    assert "succeeded: 4/4 trials" in err
    assert (folder / "data/demo/knee.yaml").exists()
    # A later run uses the table, or says why it does not
    assert ("The table of an earlier run" in out) == left_something
