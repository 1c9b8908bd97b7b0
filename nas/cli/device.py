"""`nas device …`: devices, their latency tables, and whether these hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.fit import EPILOG as FIT_EPILOG
from nas.cli.fit import fit
from nas.cli.jobs import job_id_of
from nas.cli.measuring import (
    at_workload,
    keep_table,
    measure_table,
    newest_table,
    refuse_mixing,
    space_named,
    verification_document,
    verified,
    workload_for,
)
from nas.cli.options import (
    DEFAULT_DATABASE,
    BatchOption,
    DatabaseOption,
    JsonOption,
    ServerOption,
    check_file,
    example,
    opened_client,
    read_file,
    writing,
)
from nas.cli.output import note, print_json, print_table, table_of
from nas.cli.places import Place, opened_place
from nas.errors import InvalidInput

if TYPE_CHECKING:
    from nas.architecture import Architecture
    from nas.latency.table import LatencyTable

MAX_TABLE_BYTES = 20_000_000

app = typer.Typer(help="Measure devices, keep their latency tables, check them.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The device's name.")]
SpaceOption = Annotated[str, typer.Option("--space", metavar="NAME", help="The search space to measure for.")]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME|JOB.YAML",
        show_default="the space's own sizes",
        help="Measure models with the vocabulary of this dataset, or of the one that a job document describes.",
    ),
]
LengthOption = Annotated[
    int | None,
    typer.Option("--input-length", show_default="the longest of the space", help="Tokens in one sequence."),
]
OutputOption = Annotated[
    int | None,
    typer.Option(
        "--output-length",
        show_default="the longest; a decoder reads half and writes half",
        help="Tokens to write.",
    ),
]
VersionOption = Annotated[
    int | None, typer.Option("--version", min=1, show_default="the newest", help="Which of the device's tables.")
]
PatienceOption = Annotated[
    float,
    typer.Option("--patience", metavar="SECONDS", min=0, max=86_400, help="How long to go on for calm moments."),
]
TOLERANCE = 0.15
"""How far a model may be from its prediction before `verify` fails."""


@app.command("list", epilog=example("nas device list"))
def list_devices(
    url: ServerOption = None, database: DatabaseOption = DEFAULT_DATABASE, as_json: JsonOption = False
) -> None:
    """List the devices and how many latency tables each has."""
    with opened_place(url, database) as place:
        devices = place.devices()
    if as_json:
        print_json({"devices": devices})
        return
    columns = ["name", "hardware", "runtime", " threads", " tables"]
    rows = [
        [d["name"], d["hardware"], f"{d['runtime']} {d['runtime_version']}", d["threads"], len(d["tables"])]
        for d in devices
    ]
    print_table(table_of(columns, rows))


@app.command("show", epilog=example("nas device show this-machine"))
def show(
    name: NameArgument,
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Show one device and its latency tables, with the error that each was found to have."""
    with opened_place(url, database) as place:
        device = place.device(name)
    if as_json:
        print_json(device)
        return
    facts = [[key, value] for key, value in device.items() if key != "tables"]
    print_table(table_of(["", ""], facts))
    print_tables(device["tables"])


@app.command(
    "profile",
    epilog=example(
        "nas device profile this-machine --space text-encoder",
        "nas device profile this-machine --space causal-decoder --dataset python-docs --output-length 16",
        "nas device profile pi --address ssh://pi@raspberrypi.local --space causal-decoder --output-length 32",
        "nas device profile phone --address adb://0123456789 --runtime executorch --space text-encoder",
    ),
)
def profile(
    name: NameArgument,
    space: SpaceOption,
    dataset: DatasetOption = None,
    input_length: LengthOption = None,
    output_length: OutputOption = None,
    batch: BatchOption = 1,
    address: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Where it is: local, ssh://[user@]host[:port] or adb://SERIAL."),
    ] = "local",
    runtime: Annotated[str, typer.Option(help="onnxruntime, executorch or torch.")] = "onnxruntime",
    precision: Annotated[str, typer.Option(help="fp32 or int8-dynamic.")] = "fp32",
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Threads of one inference.")] = 1,
    whole_models: Annotated[
        int, typer.Option(min=7, max=1000, help="Whole models, on which the correction is fitted.")
    ] = 40,
    patience: PatienceOption = 150.0,
    seed: Annotated[int, typer.Option(min=0, help="Draws the whole models and the order of measuring.")] = 0,
    afresh: Annotated[bool, typer.Option("--afresh", help="Don't go on with an interrupted run.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table here, as JSON.")] = None,
    raw: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write every launch with its iterations here, as JSON lines."),
    ] = None,
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Measure a device's latency table for a search space, and keep it under the device's name.

    Every sub-block of the space is measured, and a few whole models that correct what isolation hides. Takes
    minutes; leave the device alone meanwhile. Stopped and started again, it goes on where it was. The table goes to
    the database, or with --url to a server.
    """
    from nas.latency.reach import device_at

    for option, file in (("out", out), ("raw", raw)):
        if file is not None:
            check_file(option, file)
    with opened_place(url, database) as place:
        searched = space_named(place, space)
        workload = workload_for(searched, batch, input_length, output_length)
        device = device_at(address, name=name, runtime_name=runtime, precision=precision, threads=threads)
        refuse_mixing(place, device)
        table = measure_table(
            device,
            at_workload(searched, workload, dataset),
            workload,
            seed=seed,
            whole_models=whole_models,
            patience_s=patience,
            afresh=afresh,
            raw=raw,
        )
        if out is not None:
            write_table(table, out)
        summary = keep_table(place, table)
    if as_json:
        print_json(summary)
    else:
        print_tables([summary])


@app.command("verify", epilog=example("nas device verify this-machine --space text-encoder --models 40 --seed 1"))
def verify(
    name: NameArgument,
    space: SpaceOption,
    dataset: DatasetOption = None,
    input_length: LengthOption = None,
    output_length: OutputOption = None,
    batch: BatchOption = 1,
    models: Annotated[int, typer.Option(min=1, max=200, help="How many models, drawn from the space.")] = 5,
    job: Annotated[
        str | None,
        typer.Option(metavar="JOB", help="Measure the members of this job's front instead; needs --url."),
    ] = None,
    patience: PatienceOption = 120.0,
    seed: Annotated[int, typer.Option(min=0, help="Draws the models.")] = 1,
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Measure whole models on a device and compare with what its newest table predicts; 1 if one is off.

    These are models that the table was not made from. Off means farther than 15 % from the prediction. Beside it
    stand two simpler predictions of the same models: the sum of the sub-blocks, and multiply-adds times a constant.
    """
    from nas.latency.verify import fresh_models

    with opened_place(url, database) as place:
        searched = space_named(place, space)
        workload = workload_for(searched, batch, input_length, output_length)
        searched = at_workload(searched, workload, dataset)
        table = newest_table(place, name, workload, searched)
    architectures = fresh_models(table, searched, models, seed) if job is None else _front_of(job, url)
    report = verification_document(verified(table, architectures, seed, patience), TOLERANCE)
    if as_json:
        print_json(report)
    else:
        print_verification(report)
    if not report["agrees"]:
        raise typer.Exit(1)


@app.command("compare", epilog=example("nas device compare this-machine:1 this-machine:2"))
def compare(
    first: Annotated[str, typer.Argument(metavar="NAME[:VERSION]", help="A device, and which of its tables.")],
    second: Annotated[str, typer.Argument(metavar="NAME[:VERSION]", help="What to hold against it.")],
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Compare two latency tables entry by entry: two versions of a device, or two devices."""
    from dataclasses import asdict

    from nas.latency.compare import compare_tables

    with opened_place(url, database) as place:
        tables = [_table_at(place, *_name_and_version(text)) for text in (first, second)]
    found = asdict(compare_tables(*tables))
    if as_json:
        print_json(found)
        return
    print(
        f"{found['shared']} entries in both, {found['only_first']} in {first} alone, "
        f"{found['only_second']} in {second} alone.\n"
        f"{second} takes {found['median_ratio']:.3f} × as long at the median; 80 % of the entries lie between "
        f"{found['lower_ratio']:.3f} × and {found['upper_ratio']:.3f} ×."
    )
    if found["sentinel_ratio"] is not None:
        print(f"The sentinel takes {found['sentinel_ratio']:.3f} ×.")
    if found["differs"]:
        print_table(table_of(["what differs", first, second], found["differs"]))
    print_table(
        table_of(
            ["differs most", f" {first} [µs]", f" {second} [µs]", " ratio"],
            [[key, f"{a / 1e3:.1f}", f"{b / 1e3:.1f}", f"{ratio:.3f}"] for key, a, b, ratio in found["largest"]],
        )
    )


@app.command("export", epilog=example("nas device export this-machine --out table.json"))
def export(
    name: NameArgument,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write it.")],
    version: VersionOption = None,
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
) -> None:
    """Write one of a device's latency tables to a file, as JSON, its device included."""
    check_file("out", out)
    with opened_place(url, database) as place:
        write_table(_table_at(place, name, version), out)


@app.command("import", epilog=example("nas device import table.json"))
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A latency table (JSON) or a device (YAML or JSON).")],
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Add a device, or a latency table that was measured elsewhere together with its device."""
    from nas.documents import parse_document, parse_json
    from nas.latency.device import Device
    from nas.latency.table import LatencyTable

    raw = read_file(file, MAX_TABLE_BYTES)
    large = len(raw) > 100_000  # a table; no device is so large, and no person writes one
    document = parse_json(raw, file.name, MAX_TABLE_BYTES) if large else parse_document(raw, file.name)
    with opened_place(url, database) as place:
        if "entries" in document:
            table = LatencyTable.from_dict(document)
            refuse_mixing(place, table.device)
            result = keep_table(place, table)
        else:
            result = place.add_device(Device.from_dict(document).model_dump(mode="json"))
    if as_json:
        print_json(result)
    elif "entries" in document:
        print_tables([result])
    else:
        print(f"{result['name']}: {result['hardware']}, {result['runtime']} {result['runtime_version']}")


app.command("fit", epilog=FIT_EPILOG)(fit)


def write_table(table: LatencyTable, out: Path) -> None:
    """Write a table as JSON and say so."""
    with writing("out", out):
        out.write_text(json.dumps(table.to_dict()) + "\n")
    note(f"Wrote {out}.")


def _name_and_version(text: str) -> tuple[str, int | None]:
    name, separator, version = text.partition(":")
    if separator and not (version.isascii() and version.isdigit() and int(version)):
        raise InvalidInput.of(
            "table", text, "NAME or NAME:VERSION, a version being 1, 2, …", "see nas device show NAME"
        )
    return name, int(version) if separator else None


def _table_at(place: Place, name: str, version: int | None) -> LatencyTable:
    """Return a device's table of that version, or its newest; raise `NotFound` or `InvalidInput` without one."""
    from nas.latency.table import LatencyTable

    versions = [int(summary["version"]) for summary in place.device(name)["tables"]]
    if version is None and versions:
        version = max(versions)
    if version is None or version not in versions:
        known = ", ".join(map(str, versions)) or "none yet"
        raise InvalidInput.of("version", version, known, f"see nas device show {name}")
    return LatencyTable.from_dict(place.latency_table(name, version))


def print_verification(report: dict[str, Any]) -> None:
    """Print predicted and measured latencies side by side, and what the differences come to."""
    columns = ["architecture", " predicted [ms]", " 90 %", " measured [ms]", " difference", "inside", ""]
    print_table(
        table_of(
            columns,
            (
                [
                    row["architecture_id"],
                    row["predicted_ms"],
                    f"{row['lower_ms']:.4g} to {row['upper_ms']:.4g}",
                    row["measured_ms"],
                    f"{row['difference']:+.1%}",
                    row["inside"],
                    "" if row["valid"] else f"disturbed: {row['reason']}",
                ]
                for row in report["models"]
            ),
        )
    )
    if "accuracy" not in report:
        print("Every measurement was disturbed: nothing can be said of the table.")
        return
    columns = ["", " mean error", " largest", " within ±7 %", " bias", " Kendall τ"]
    rows = [
        [
            kind.replace("_", " "),
            f"{found['mean_absolute_percent']:.1f} %",
            f"{found['largest_percent']:.1f} %",
            f"{found['within_7_percent']:.1%}",
            f"{found['bias_percent']:+.1f} %",
            f"{found['kendall_tau']:.3f}" if "kendall_tau" in found else "–",
        ]
        for kind, found in report["accuracy"].items()
    ]
    print_table(table_of(columns, rows))
    print(f"{report['inside_share']:.1%} of the measurements lie inside their 90 % interval.")


def print_tables(summaries: list[dict[str, Any]]) -> None:
    """Print summaries of latency tables."""
    columns = [
        "device",
        " version",
        "space",
        "workload",
        " entries",
        " invalid",
        " whole models",
        " mean error",
        " bias",
    ]
    rows = [
        [
            *(s[name] for name in ("device", "version", "space", "workload", "entries", "invalid_entries")),
            s["whole_models"],
            _percent(s.get("errors"), "mean_absolute_percent"),
            _percent(s.get("errors"), "bias_percent"),
        ]
        for s in summaries
    ]
    print_table(table_of(columns, rows))


def _percent(errors: Mapping[str, float] | None, name: str) -> str:
    return "–" if errors is None else f"{errors[name]:.1f} %"


def _front_of(job: str, url: str | None) -> list[Architecture]:
    from nas.architecture import Architecture

    if url is None:
        raise InvalidInput.of("--url", None, "the address of the job's server", "add it: --job is asked there")
    with opened_client(url) as client:
        members = client.front(job_id_of(client, job))["members"]
    return [Architecture.from_dict(member["architecture"]) for member in members]
