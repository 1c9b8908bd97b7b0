"""How well a device's latency is fitted from whole architectures: drift found, then few rows predict the others.

    python benchmarks/fitted.py --data DIRECTORY
    python benchmarks/fitted.py one.csv two.csv --rows 50 --repeats 20

Takes CSV files as `nas device fit` does. For each: the blocks that drifted; then, for each repeat, a fit on random rows
that did not drift and its mean absolute error on the others, on the others with the drifted rows among them, and
beside it that of simpler fits on the same rows: multiply-adds times the best constant, plain least squares over the
same terms, and the constant alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from nas.latency.fitted.document import errors_of, errors_on
from nas.latency.fitted.drift import screen
from nas.latency.fitted.features import Columns, Vector, terms_of
from nas.latency.fitted.fit import fit
from nas.latency.fitted.rows import Rows, read_rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*", help="CSV files")
    parser.add_argument("--data", type=Path, help="a directory: all CSV files in it")
    parser.add_argument("--unit", help="of latencies whose column does not say it")
    parser.add_argument("--rows", type=int, default=50, help="rows in a fit")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the first repeat")
    arguments = parser.parse_args()
    files = [*arguments.files, *(sorted(arguments.data.glob("*.csv")) if arguments.data else [])]
    if not files:
        parser.error("name CSV files, or a directory of them with --data")
    for path in files:
        rows = read_rows(path.read_bytes(), arguments.unit, path.name)
        print(f"\n{path.name}: {len(rows)} rows, median {np.median(rows.latencies_ms):.4g} ms")
        seeds = range(arguments.seed, arguments.seed + arguments.repeats)
        report(rows, arguments.rows, seeds)


def report(rows: Rows, count: int, seeds: range) -> None:
    """Print what was found in one file."""
    began = time.perf_counter()
    screening = screen(rows.columns, rows.latencies_ms)
    seconds = time.perf_counter() - began
    for block in screening.blocks:
        print(f"  rows {block.first + 1} to {block.last + 1} drift: {block.shift:+.1%} (found in {seconds:.1f} s)")
    if not screening.blocks:
        print(f"  no drift (searched in {seconds:.1f} s)")
    far = len(screening.outlying)
    print(f"  outside: 0 rows dropped, {far} single rows ({far / len(rows):.1%}) far off, kept with little weight")
    print(f"  {len(seeds)} fits on {count} random rows, mean absolute error on the others:")
    results: dict[str, list[float]] = {}
    for seed in seeds:
        for name, value in repeat(rows, screening.clean, count, seed).items():
            results.setdefault(name, []).append(value)
    for name, values in results.items():
        print(f"    {name:44} {np.mean(values):7.3f}   ({min(values):.3f} to {max(values):.3f})")


def repeat(rows: Rows, clean: np.ndarray, count: int, seed: int) -> dict[str, float]:
    """Return the figures of one fit."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(np.flatnonzero(clean), count, replace=False)
    others = np.setdiff1d(np.flatnonzero(clean), chosen)
    with_drift = np.setdiff1d(np.arange(len(rows)), chosen)
    columns, measured = rows.taken(chosen)
    other_columns, other_measured = rows.taken(others)
    fitted = fit(columns, measured, seed)
    errors = errors_on(fitted, rows, others)
    expected = errors_of(fitted.left_out, measured, fitted.interval)
    terms, other_terms = macs(columns), macs(other_columns)
    constant = np.median(measured / terms)
    plain = least_squares(columns, measured, other_columns)
    return {
        "this fit [%]": errors.mean_absolute_percent,
        "  with the drifted rows among the others [%]": errors_on(fitted, rows, with_drift).mean_absolute_percent,
        "  what its cross-validation told [%]": expected.mean_absolute_percent,
        "  bias [%]": errors.bias_percent,
        "  within 7 % [share]": errors.within_7_percent,
        "  inside the 90 % interval [share]": errors.within_interval,
        "  Kendall's tau": errors.kendall_tau,
        "plain least squares [%]": 100 * float(np.abs(plain / other_measured - 1).mean()),
        "multiply-adds x best constant [%]": 100 * float(np.abs(constant * other_terms / other_measured - 1).mean()),
        "the median alone [%]": 100 * float(np.abs(np.median(measured) / other_measured - 1).mean()),
    }


def macs(columns: Columns) -> Vector:
    """Return the multiply-adds for a token of encoder and decoder together, shape (rows,)."""
    return sum(
        (term.values for term in terms_of(columns) if term.name.endswith("multiply-adds")),
        np.zeros_like(columns["encoder.layers"]),
    )


def least_squares(columns: Columns, measured: Vector, others: Columns) -> Vector:
    """Return the others' latencies by ordinary least squares over the same terms: least norm, no bounds, no weights."""
    x, y = (np.column_stack([term.values for term in terms_of(c)]) for c in (columns, others))
    size = np.maximum(np.abs(x).max(axis=0), 1e-12)
    b, *_ = np.linalg.lstsq(x / size, measured, rcond=1e-9)
    return (y / size) @ b


if __name__ == "__main__":
    main()
