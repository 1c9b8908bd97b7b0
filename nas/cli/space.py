"""`nas space …`: which architectures a job may propose."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli.options import DEFAULT_DATABASE, DatabaseOption, JsonOption, ServerOption, example
from nas.cli.output import print_json, print_table, table_of
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
    """Show one search space: its size, its bounds and its document."""
    from nas.documents import to_yaml

    with opened_place(url, database) as place:
        space = place.search_space(name)
    if as_json:
        print_json(space)
        return
    print(f"# {space['size']:,} architectures")
    for cost, bounds in space["bounds"].items():
        print(f"# {cost}: {bounds['lowest']:,} to {bounds['highest']:,}")
    print(to_yaml(space["document"]), end="")
