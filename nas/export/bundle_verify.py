"""Verifying a bundle: everything that it records, held against what is found here and now."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from nas.errors import InvalidInput, PocketformerError
from nas.export.bundle_checks import Kind, examples_of, missing, quality_by, written_by
from nas.export.opened import Bundle, open_bundle, read_bundle
from nas.export.programs import check_program
from nas.export.rebuild import Rebuilt, Row, check_weights, rebuild
from nas.export.weights import load_weights
from nas.latency.runtimes import Precision
from nas.latency.runtimes.executorch import quieten_torchao
from nas.models import Model, build_model

SAME_PROGRAM = 0.005
"""So far may a score of a program be from the recorded one: other processors round otherwise, and a tie falls the
other way."""


def verify(bundle: Bundle, *, latency: bool = True, progress: Callable[[str, int, int], None] | None = None) -> Rebuilt:
    """Hold a bundle's model, programs and numbers against what it records; of those of runtimes that are here.

    Raises `InvalidInput` for weights that are not the recorded ones.
    """
    tell = progress or (lambda *_: None)
    quieten_torchao()  # which ExecuTorch imports
    weights = bundle.weights()
    if weights is not None:
        check_weights(bundle.config, weights)
    rows = list(rebuild(bundle.config, weights=weights, measure_latency=latency, progress=tell).rows)
    model = build_model(bundle.architecture, seed=0).eval()
    if weights is not None:
        load_weights(model, weights)
    rows += _program_rows(bundle, model)
    here: dict[Kind, Model] = {kind: bundle.model(kind) for kind in bundle.kinds if _why_not(bundle, kind) is None}
    rows += _score_rows(bundle, model, here, tell)
    rows += _written_rows(bundle, model, here, tell)
    return Rebuilt(tuple(rows))


def _why_not(bundle: Bundle, kind: Kind) -> str | None:
    """Return why the programs of a kind can't be run here; None where they can."""
    files = [each for each in bundle.report.programs if (each.runtime, each.precision) == kind]
    if any(_sha256(bundle.folder / each.file) != each.sha256 for each in files):
        return "its programs are not those that were checked"
    return missing(kind[0])


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _program_rows(bundle: Bundle, model: Model) -> Iterator[Row]:
    """Yield whether each program is the recorded file, and computes what torch computes."""
    for record in bundle.report.programs:
        found = _sha256(bundle.folder / record.file)
        if found != record.sha256:
            note = "the file is not there" if found is None else "the file is not the one that was checked"
            yield Row(record.file, "sha256", record.sha256[:12], found and found[:12], "equal", False, note)
            continue
        how = missing(record.runtime)
        if how is not None:
            yield Row(f"{record.file}: off torch by", "", record.difference, None, f"≤ {record.allowed:g}", None, how)
            continue
        difference = check_program(model, bundle.program(record), bundle.config.workload, record.runtime)
        agrees = difference <= record.allowed
        yield Row(f"{record.file}: off torch by", "", record.difference, difference, f"≤ {record.allowed:g}", agrees)


def _score_rows(
    bundle: Bundle, model: Model, here: dict[Kind, Model], tell: Callable[[str, int, int], None]
) -> Iterator[Row]:
    recorded = bundle.report.quality
    if recorded is None:
        return
    examples = examples_of(bundle.config)
    found = quality_by(examples, model, here, tell)
    scores = {} if found is None else {(by.runtime, by.precision): by.metrics for by in found.programs}
    for by in recorded.programs:
        kind = (by.runtime, by.precision)
        for name, value in by.metrics.items():
            now = scores.get(kind, {}).get(name)
            allowed = SAME_PROGRAM * max(1.0, abs(value))
            note = f"on {recorded.examples} {recorded.unit}; {by.lost[name]:+.2g} against torch"
            if now is None:
                note = examples.note or _why_not(bundle, kind) or ""
            agrees = None if now is None else now - value <= allowed
            yield Row(f"{name} of {by.runtime} {by.precision}", "", value, now, f"+ {allowed:.2g}", agrees, note)


def _written_rows(
    bundle: Bundle, model: Model, here: dict[Kind, Model], tell: Callable[[str, int, int], None]
) -> Iterator[Row]:
    recorded = bundle.report.written
    if recorded is None:
        return
    found = written_by(examples_of(bundle.config), bundle.config.workload, model, here, tell)
    same = {} if found is None else {(by.runtime, by.precision): by.same for by in found.programs}
    for by in recorded.programs:
        kind = (by.runtime, by.precision)
        now = same.get(kind)
        name = f"texts as torch writes them, {by.runtime} {by.precision}"
        # In int8 the likeliest token may be another one: how often is told, not judged
        judged = by.precision == "fp32"
        agrees = None if now is None else now >= by.same or not judged
        note = _why_not(bundle, kind) or "" if now is None else ""
        yield Row(name, f"of {recorded.texts}", by.same, now, "no fewer" if judged else "told", agrees, note)


def main(folder: Path, arguments: list[str] | None = None) -> int:
    """Verify the bundle in a folder, or answer a text with it: what its `rebuild.py` runs. Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="rebuild.py",
        description="Build the model anew and hold it, its programs and its numbers against what this bundle records.",
        epilog='examples: python rebuild.py --no-latency; python rebuild.py --text "bonjour" --runtime executorch',
    )
    parser.add_argument("--no-latency", action="store_true", help="measure no latency")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--text", help="check nothing: answer this text with the programs")
    parser.add_argument("--runtime", choices=("onnxruntime", "executorch"), help="of --text; by itself the first one")
    parser.add_argument("--precision", choices=("fp32", "int8-dynamic"), default="fp32", help="of --text")
    given = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        if given.text is not None:
            return _answer(folder, given.text, given.runtime, given.precision, given.json)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as shown:
            task = shown.add_task("building the model")
            rebuilt = verify(
                read_bundle(folder),
                latency=not given.no_latency,
                progress=lambda what, done, total: shown.update(task, description=f"{what} ({done}/{total})"),
            )
    except InvalidInput as error:
        console.print(str(error), style="red", markup=False)
        return 2
    except PocketformerError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    if given.json:
        print(json.dumps(rebuilt.to_dict(), indent=2))
    else:
        _print(rebuilt)
    return 1 if any(row.agrees is False for row in rebuilt.rows) else 0


def _answer(folder: Path, text: str, runtime: str | None, precision: Precision, as_json: bool) -> int:
    answer = open_bundle(folder, runtime, precision).answer(text)
    if as_json or isinstance(answer, str):
        print(json.dumps(answer, ensure_ascii=False) if as_json else answer)
        return 0
    for name, chance in answer.items():
        print(f"{chance:6.1%}  {name}")
    return 0


def _print(rebuilt: Rebuilt) -> None:
    table = Table(box=None, pad_edge=False)
    for head in ("", "recorded", "here", "tolerance", "agrees", ""):
        table.add_column(head, justify="right" if head in ("recorded", "here") else "left")
    for row in rebuilt.rows:
        agrees = "not compared" if row.agrees is None else "yes" if row.agrees else "NO"
        name = f"{row.name} [{row.unit}]" if row.unit else row.name
        table.add_row(*map(_plain, (name, row.recorded, row.rebuilt, row.tolerance, agrees, row.note)))
    Console(width=None if sys.stdout.isatty() else 200).print(table, markup=False)
    differing = [row.name for row in rebuilt.rows if row.agrees is False]
    left = sum(row.agrees is None for row in rebuilt.rows)
    if differing:
        print(f"Differs: {', '.join(differing)}.")
    else:
        print("Everything agrees." if not left else f"Everything that could be compared agrees; {left} could not.")


def _plain(value: object) -> str:
    return "" if value is None else f"{value:.7g}" if isinstance(value, float) else str(value)
