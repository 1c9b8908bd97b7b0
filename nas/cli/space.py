"""`nas space …`: which architectures a job may propose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from nas.cli.options import DEFAULT_DATABASE, DatabaseOption, JsonOption, ServerOption, example
from nas.cli.output import print_json, print_table, table_of, table_text
from nas.cli.places import opened_place

app = typer.Typer(help="Look at search spaces.", no_args_is_help=True)


@app.command("list", epilog=example("nas space list"))
def list_spaces(
    url: ServerOption = None, database: DatabaseOption = DEFAULT_DATABASE, as_json: JsonOption = False
) -> None:
    """List the search spaces, bundled and added, with their exact size."""
    with opened_place(url, database) as place:
        spaces = place.search_spaces()
    if as_json:
        print_json({"search_spaces": spaces})
        return
    columns = ["name", "family", " architectures", " parameters", "", "description"]
    rows = [
        [
            space["name"],
            space["family"],
            space["size_text"],
            *(space["bounds"]["parameters"][end] for end in ("lowest", "highest")),
            space["description"],
        ]
        for space in spaces
    ]
    print_table(table_of(columns, rows))


@app.command("show", epilog=example("nas space show text-encoder"))
def show(
    name: Annotated[str, typer.Argument(help="The name of the space.")],
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Show one search space: its choices, exact size, the range of every cost that it reaches, and its document."""
    with opened_place(url, database) as place:
        space = place.search_space(name)
    if as_json:
        print_json(space)
    else:
        _print_space(space)


def _print_space(space: dict[str, Any]) -> None:
    """Print what a person wants to know as comments above the document, so that the whole can be kept and edited."""
    from nas.documents import to_yaml

    for line in _described(space).splitlines():
        print(f"# {line}".rstrip())
    print()
    print(to_yaml(space["document"]), end="")


def _described(space: dict[str, Any]) -> str:
    from nas.search.objectives import describe_cost

    size = [f"{space['size_text']} architectures, family {space['family']}"]
    if f"{space['size']:,}" != space["size_text"]:
        size.append(f"exactly {space['size']:,}")
    work = space["bounds_workload"]
    lengths = f"{work['input_length']} tokens read"
    lengths += f", {work['output_length']} written" if work["output_length"] else ""
    rows = []
    for cost, bounds in space["bounds"].items():
        label, unit = describe_cost(cost)
        rows.append([label, bounds["lowest"], bounds["highest"], unit, cost])
    parts = [
        f"{space['name']}: {space['description']}" if space["description"] else space["name"],
        "\n".join(size),
        table_text(table_of(["choice", "options", "chosen"], _choices(space["document"]))),
        f"What its architectures cost (batch {work['batch']}, {lengths}), exactly:",
        table_text(table_of(["cost", " from", " to", "", "name in jobs"], rows)),
    ]
    return "\n\n".join(parts)


def _choices(document: dict[str, Any]) -> Iterator[list[str]]:
    """Yield (choice, options, when it is made) of a space document."""
    stacks = [name for name in ("encoder", "decoder") if name in document]
    for name in stacks:
        prefix = f"{name} " if len(stacks) > 1 else ""
        stack, once = document[name], f"once for the {name}"
        for choice, options in stack.items():
            if choice not in ("layer", "uniform"):
                yield [f"{prefix}{choice}", _listed(options), once]
        layer, uniform = stack["layer"], stack.get("uniform", ())
        for part, choice, options in _of_layer(layer):
            yield [f"{prefix}{choice}", options, once if part in uniform else "for every layer"]
    if "tied_embeddings" in document:
        yield ["tied_embeddings", _listed(document["tied_embeddings"]), "once"]


def _of_layer(layer: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (part, choice, options)."""
    for kind, choices in layer["attention"].items():
        yield "attention", f"attention {kind}", _of_type(choices)
    cross = layer.get("cross")
    if cross:
        for kind, choices in cross["attention"].items():
            yield "cross", f"cross-attention {kind}", _of_type(choices)
        yield "cross", "cross-attention reads", f"the last {_listed(cross.get('reads', [1]))} encoder layers"
    for choice in ("feed_forward_ratio", "feed_forward_size", "activation"):
        if choice in layer:
            yield "feed_forward", choice, _listed(layer[choice])


def _of_type(choices: dict[str, Any]) -> str:
    return "; ".join(f"{name} {_listed(values)}" for name, values in choices.items()) or "–"


def _listed(options: list[Any]) -> str:
    return ", ".join("yes" if option is True else "no" if option is False else str(option) for option in options)
