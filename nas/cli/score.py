"""`nas score`: what an architecture costs, and whether a configuration keeps its promises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.options import (
    DEFAULT_DATABASE,
    DatabaseOption,
    JsonOption,
    OwnBatchOption,
    OwnLengthOption,
    OwnOutputOption,
    ServerOption,
    example,
    read_document,
    read_file,
    workload_of,
)
from nas.cli.output import note, print_json, print_table, table_of, text_of
from nas.cli.places import Place, opened_place
from nas.errors import InvalidInput

if TYPE_CHECKING:
    from nas.architecture import Architecture
    from nas.export.config import Config
    from nas.workload import Workload

CONFIG_SCHEMA_PREFIX = "pocketformer/config/"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("score", epilog=example("nas score knee.yaml", "nas score knee.yaml --verify"))(score)


def score(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A configuration or an architecture, YAML or JSON.")],
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Rebuild the model from the configuration and compare it; 1 if it differs."),
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default="fetched from where the configuration says", help="The weights."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", show_default="every one with a fitting table", help="Devices to predict for."),
    ] = None,
    input_length: OwnLengthOption = None,
    output_length: OwnOutputOption = None,
    batch: OwnBatchOption = None,
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Print the exact costs and the predicted latency of one architecture.

    With --verify: build the model anew from the configuration alone, and hold its id, parameters, MACs, quality
    (with the stored weights) and latency (measured now) against what the configuration records.
    """
    if verify:
        _verify(file, weights, as_json)
        return
    architecture, workload = read_subject(file, batch, input_length, output_length)
    with opened_place(url, database) as place:
        result = _scored(place, architecture, workload, device)
    if as_json:
        print_json(result)
    else:
        _print_score(result, workload)


def read_subject(
    file: Path, batch: int | None = None, input_length: int | None = None, output_length: int | None = None
) -> tuple[Architecture, Workload]:
    """Return the architecture in a file and its workload; what is given overrides that field of a configuration's.

    Raises `InvalidInput` for a workload that the architecture can't take.
    """
    from nas.architecture import Architecture
    from nas.jobs.inventory import longest_workload
    from nas.jobs.score import check_workload

    config = read_config_file(file)
    if config is not None:
        architecture = Architecture.from_dict(config.architecture, "config.architecture")
        own = config.workload
    else:
        architecture = Architecture.from_dict(read_document(file))
        own = longest_workload(architecture.task_shape, architecture.family)
    workload = workload_of(
        own.batch if batch is None else batch,
        own.input_length if input_length is None else input_length,
        own.output_length if output_length is None else output_length,
    )
    check_workload(architecture, workload)
    return architecture, workload


def read_config_file(file: Path) -> Config | None:
    """Return the configuration in a file; None where it holds an architecture alone."""
    from nas.export.config import read_config

    document = read_document(file)
    if not str(document.get("schema", "")).startswith(CONFIG_SCHEMA_PREFIX):
        return None
    return read_config(read_file(file))


def find_weights(config: Config, file: Path | None) -> bytes:
    """Return the weights of a configuration, from a file or its own address; raise `InvalidInput` for others."""
    from nas.export.rebuild import check_weights, fetch_weights

    if file is None:
        return fetch_weights(config)
    content = read_file(file)
    check_weights(config, content)
    return content


def _verify(file: Path, weights: Path | None, as_json: bool) -> None:
    from nas.cli.progress import StepProgress
    from nas.export.rebuild import rebuild

    config = read_config_file(file)
    if config is None:
        raise InvalidInput.of(
            "file", str(file), "a configuration", "an architecture alone promises nothing: leave --verify out"
        )
    with StepProgress() as progress:
        rebuilt = rebuild(config, weights=find_weights(config, weights), progress=progress)
    if as_json:
        print_json(rebuilt.to_dict())
    else:
        print_rebuilt(rebuilt.to_dict())
    if not rebuilt.agrees:
        raise typer.Exit(1)


def print_rebuilt(rebuilt: dict[str, Any]) -> None:
    """Print recorded and rebuilt side by side, as `Rebuilt.to_dict` gives them."""
    rows = [
        [
            row["name"] + (f" [{row['unit']}]" if row["unit"] else ""),
            _exact_text(row["recorded"]),
            _exact_text(row["rebuilt"]),
            row["tolerance"],
            "not compared" if row["agrees"] is None else row["agrees"],
            row["note"],
        ]
        for row in rebuilt["rows"]
    ]
    print_table(table_of(["", " recorded", " rebuilt", "tolerance", "agrees", ""], rows))
    print("Everything agrees." if rebuilt["agrees"] else "Not everything agrees.")


def _exact_text(value: Any) -> str:
    """Return a measure with all the digits that the comparison looks at."""
    return f"{value:.7g}" if isinstance(value, float) else text_of(value)


def _scored(place: Place, architecture: Architecture, workload: Workload, devices: list[str] | None) -> dict[str, Any]:
    subject, work = architecture.to_dict(), workload.model_dump(mode="json")
    result = place.score(subject, work, devices or [])
    if devices is None:
        for found in place.devices():
            try:
                result["latency"] |= place.score(subject, work, [found["name"]])["latency"]
            except InvalidInput as error:
                note(f"No latency for {found['name']}: {error.problems[0].next_step}")
    return result


def _print_score(result: dict[str, Any], workload: Workload) -> None:
    from nas.costs import COST_NAMES

    costs = [name for name in COST_NAMES if result.get(name) is not None]
    costs.insert(costs.index("macs") + 1, "flops")
    rows = [[name, result[name]] for name in costs]
    for device, latency in result["latency"].items():
        interval = f"{latency['lower_ms']:.4g} to {latency['upper_ms']:.4g}, 90 %"
        rows.append([f"latency_ms@{device}", f"{latency['latency_ms']:.4g} ({interval})"])
    print(f"{result['architecture_id']} at {workload.key}")
    print_table(table_of(["", " "], rows))
