"""Progress on standard error: a bar where somebody looks on, now and then a line where a file does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from nas.cli.output import duration_text

LINE_EVERY_S = 10.0


class JobProgress:
    """Shows the progress of one job, as the API reports it."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[news]}", table_column=Column(overflow="fold")),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._line = self._last_line = ""
        self._told_at = 0.0

    def __enter__(self) -> JobProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        self._print_line()

    def update(self, progress: Mapping[str, Any], state: str) -> None:
        """Show the job as it is now."""
        news = progress_text(progress)
        if self._task is None:
            self._task = self._bar.add_task(state, total=progress["budget"], news=news)
        self._bar.update(self._task, description=state, completed=progress["evaluated"], news=news)
        self._line = f"{state}: {progress['evaluated']}/{progress['budget']} trials, {news}"
        if time.monotonic() - self._told_at >= LINE_EVERY_S:
            self._print_line()

    def _print_line(self) -> None:
        if not self._console.is_terminal and self._line != self._last_line:
            self._console.print(self._line, soft_wrap=True)
            self._last_line, self._told_at = self._line, time.monotonic()


def progress_text(progress: Mapping[str, Any]) -> str:
    """Return what a person wants to know of a job's progress beside the number of trials done."""
    skipped, volume = progress["skipped"], progress["hypervolume"]
    parts = [
        f"front {progress['front_size']}",
        f"hypervolume {'–' if volume is None else format(volume, '.3f')}",
        f"skipped {skipped['duplicate']} seen, {skipped['over_limit']} over limit",
    ]
    if progress["recalled"]:
        parts.append(f"known from earlier jobs {progress['recalled']}")
    if progress["stopped"]:
        parts.append(f"stopped early {progress['stopped']}")
    if progress["failed"]:
        parts.append(f"failed {progress['failed']}")
    finish = progress["finish"]
    if finish is not None:
        failed = f", {finish['failed']} failed" if finish["failed"] else ""
        return ", ".join([*parts, f"trained in full {finish['complete']}/{finish['trainings']}{failed}"])
    return ", ".join([*parts, f"{duration_text(progress['time_left_s'])} left"])


class StepProgress:
    """Shows the phases of work on this machine; call it with (phase, done, total)."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> StepProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of `phase` are done."""
        if phase not in self._tasks:
            self._tasks[phase] = self._bar.add_task(phase, total=total)
            if not self._console.is_terminal:
                self._console.print(f"{phase} …", soft_wrap=True)
        self._bar.update(self._tasks[phase], completed=done, total=total)
