"""`nas device fit`: a latency fitted on whole architectures, for a device whose inside can't be measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.options import JsonOption, check_file, example, read_file, writing
from nas.cli.output import note, print_json, print_table, table_of
from nas.errors import InvalidInput

if TYPE_CHECKING:
    from nas.latency.fitted.document import Errors, FittedLatency

EPILOG = example(
    "nas device fit pi --from rows.csv --workload '30 tokens to 30 tokens, batch 1' --out pi.json",
    "nas device fit pi --from rows.csv --rows 50 --seed 1 --plot rows.html",
)


def fit(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The device's name.")],
    source: Annotated[
        Path,
        typer.Option(
            "--from", metavar="FILE", help="A CSV file: `architecture` (JSON) and `latency_ms`, or HAT's columns."
        ),
    ],
    unit: Annotated[
        str | None,
        typer.Option("--unit", metavar="UNIT", show_default="what the column's name says", help="s, ms, us or ns."),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows", min=1, show_default="all", help="Fit on so many random rows, and judge the fit on the others."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the rows, and deals them for cross-validation.")] = 0,
    hardware: Annotated[str, typer.Option(help="What the device is, in your words.")] = "not stated",
    workload: Annotated[str, typer.Option(help="What ran: lengths, batch, runtime, threads.")] = "not stated",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the fitted latency here, as JSON.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw each row's error in file order here, as HTML.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a device's latency on a CSV file of whole architectures and what they took.

    Rows in a row that something slowed down meanwhile (throttling, other work) are found, reported and left out.
    """
    from nas.latency.fitted.document import fit_device
    from nas.latency.fitted.plot import residual_plot
    from nas.latency.fitted.rows import MAX_BYTES, UNITS, read_rows

    if unit is not None and unit not in UNITS:
        raise InvalidInput.of("--unit", unit, ", ".join(UNITS), "name one of these")
    for option, path in (("out", out), ("plot", plot)):
        if path is not None:
            check_file(option, path)
    measured = read_rows(read_file(source, MAX_BYTES), unit, source.name)
    document, screening = fit_device(name, measured, hardware=hardware, workload=workload, fitted_rows=rows, seed=seed)
    if out is not None:
        with writing("out", out):
            out.write_text(json.dumps(document.to_dict(), indent=1) + "\n")
        note(f"Wrote {out}.")
    if plot is not None:
        with writing("plot", plot):
            plot.write_text(residual_plot(screening, document.device), encoding="utf-8")
        note(f"Wrote {plot}.")
    if as_json:
        print_json(document.to_dict())
    else:
        print_report(document)


def print_report(document: FittedLatency) -> None:
    """Print what was found in the rows, what was fitted, and how far off it was."""
    used = [f"{document.rows:,} in the file", f"{document.rows_fitted:,} fitted", f"{document.rows_drifted:,} drifted"]
    outlying = f"{len(document.outlying_rows):,}{_first(document.outlying_rows)}; kept, with little weight"
    facts = [
        ["device", f"{document.device}, {document.hardware}"],
        ["workload", document.workload],
        ["rows", ", ".join(used)],
        ["single rows far off", outlying],
        ["90 % interval", f"± {100 * document.interval:.3g} %"],
    ]
    if not document.drift_searched:
        facts.append(["drift", "not looked for: the file is sorted by latency, so its order says nothing of time"])
    print_table(table_of(["", ""], facts))
    print()
    if document.drifted:
        blocks = [
            [str(block.first_row), str(block.last_row), block.rows, f"{block.slower_percent:+.1f} %"]
            for block in document.drifted
        ]
        print_table(table_of([" first row", " last row", " left out", " slower"], blocks))
    elif document.drift_searched:
        print("No drift: no rows in a row differ from the others.")
    print()
    errors = [_error_row("fitted rows, each by a fit on others", document.cross_validated)]
    if document.others is not None:
        errors.append(_error_row("rows that were not fitted", document.others))
    columns = ["", " rows", " mean error", " bias", " within ±7 %", " Kendall τ", " in the interval"]
    print_table(table_of(columns, errors))
    print()
    coefficients = [
        [term, f"{fitted.ms:.4g}", f"ms per {fitted.per}"] for term, fitted in document.coefficients.items()
    ]
    print_table(table_of(["term", " coefficient", "unit"], coefficients))


def _first(rows: tuple[int, ...]) -> str:
    if not rows:
        return ""
    return f" (rows {', '.join(map(str, rows[:8]))}{' …' if len(rows) > 8 else ''})"


def _error_row(words: str, errors: Errors) -> list[object]:
    return [
        words,
        errors.rows,
        f"{errors.mean_absolute_percent:.2f} %",
        f"{errors.bias_percent:+.2f} %",
        f"{100 * errors.within_7_percent:.1f} %",
        f"{errors.kendall_tau:.3f}",
        f"{100 * errors.within_interval:.1f} %",
    ]
