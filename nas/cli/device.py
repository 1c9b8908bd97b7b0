"""`nas device …`: devices, their latency tables, and whether these hold."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.jobs import job_id_of
from nas.cli.measuring import compare, keep_table, measure_table, newest_table, space_for
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
    workload_of,
    writing,
)
from nas.cli.output import note, print_json, print_table, table_of
from nas.cli.places import opened_place
from nas.errors import InvalidInput

if TYPE_CHECKING:
    from nas.architecture import Architecture

MAX_TABLE_BYTES = 20_000_000

app = typer.Typer(help="Measure devices, keep their latency tables, check them.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The device's name.")]
SpaceOption = Annotated[str, typer.Option("--space", metavar="NAME", help="The search space to measure for.")]
LengthOption = Annotated[int, typer.Option("--input-length", help="Tokens in one sequence.")]


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


@app.command("profile", epilog=example("nas device profile this-machine --space text-encoder --input-length 64"))
def profile(
    name: NameArgument,
    space: SpaceOption,
    input_length: LengthOption,
    batch: BatchOption = 1,
    seed: Annotated[int, typer.Option(min=0, help="Draws the whole models and the order of measuring.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table here, as JSON.")] = None,
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Measure this machine's latency table for a search space, and keep it under the device's name.

    Every sub-block of the space is measured, and a few whole models that correct what isolation hides. Takes
    minutes; leave the machine alone meanwhile. The table goes to the database, or with --url to a server.
    """
    workload = workload_of(batch, input_length)
    if out is not None:
        check_file("out", out)
    with opened_place(url, database) as place:
        table = measure_table(name, space_for(place, space, workload), workload, seed)
        if out is not None:
            with writing("out", out):
                out.write_text(json.dumps(table.to_dict()) + "\n")
            note(f"Wrote {out}.")
        summary = keep_table(place, table)
    if as_json:
        print_json(summary)
    else:
        print_tables([summary])


@app.command("verify", epilog=example("nas device verify this-machine --space text-encoder --input-length 64"))
def verify(
    name: NameArgument,
    space: SpaceOption,
    input_length: LengthOption,
    batch: BatchOption = 1,
    models: Annotated[int, typer.Option(min=1, max=200, help="How many models, drawn from the space.")] = 5,
    job: Annotated[
        str | None,
        typer.Option(metavar="JOB", help="Measure the members of this job's front instead; needs --url."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the models.")] = 1,
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Measure whole models on this machine and compare with what the newest table predicts; 1 if one is off.

    These are models that the table was not made from. Off means farther than 15 % from the prediction.
    """
    workload = workload_of(batch, input_length)
    with opened_place(url, database) as place:
        searched = space_for(place, space, workload)
        table = newest_table(place, name, workload, searched)
    if job is not None:
        architectures = _front_of(job, url)
    else:
        rng = random.Random(seed)
        architectures = [searched.sample(rng) for _ in range(models)]
    rows = compare(table, architectures)
    agrees = all(row["agrees"] for row in rows)
    if as_json:
        print_json({"agrees": agrees, "models": rows})
    else:
        print_comparison(rows)
    if not agrees:
        raise typer.Exit(1)


@app.command("add", epilog=example("nas device add table.json"))
def add(
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
            result = keep_table(place, LatencyTable.from_dict(document))
        else:
            result = place.add_device(Device.from_dict(document).model_dump(mode="json"))
    if as_json:
        print_json(result)
    elif "entries" in document:
        print_tables([result])
    else:
        print(f"{result['name']}: {result['hardware']}, {result['runtime']} {result['runtime_version']}")


def print_comparison(rows: list[dict[str, Any]]) -> None:
    """Print predicted and measured latencies side by side."""
    columns = ["architecture", " predicted [ms]", " 90 %", " measured [ms]", " difference", "agrees", ""]
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
                    row["agrees"],
                    "" if row["valid"] else f"disturbed: {row['reason']}",
                ]
                for row in rows
            ),
        )
    )


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
