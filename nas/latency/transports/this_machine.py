"""The machine that this process runs on: the probe runs in a fresh process, away from torch's threads."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from nas.errors import MeasurementFailed


class ThisMachine:
    """Runs a probe with the Python that runs us."""

    def run(self, program: Path, directory: Path, on_line: Callable[[str], None], timeout_s: float) -> None:
        """Run the probe; see `Transport.run`."""
        with tempfile.TemporaryFile("w+") as errors:
            # -I: the probe's folder holds modules named like the runtimes they wrap; keep it off the path
            process = subprocess.Popen(
                [sys.executable, "-I", str(program), str(directory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            late = threading.Event()

            def stop() -> None:
                late.set()
                process.kill()

            timer = threading.Timer(timeout_s, stop)
            timer.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    on_line(line)
                code = process.wait()
            finally:
                timer.cancel()
                process.kill()
                process.wait()
            if late.is_set():
                raise MeasurementFailed(f"The probe was not done after {timeout_s:.0f} s and was stopped.")
            if code:
                errors.seek(0)
                words = errors.read().strip().splitlines()
                raise MeasurementFailed(f"The probe ended with code {code}: {words[-1] if words else 'without a word'}")
