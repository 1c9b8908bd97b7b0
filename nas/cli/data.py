"""`nas data …`: files of one's own, for jobs to be run on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.options import DEFAULT_DATABASE, DatabaseOption, JsonOption, ServerOption, example, opened_store
from nas.cli.output import note, print_json, print_table, table_of
from nas.cli.own_files import add_file, pieces_of, reading_progress, size_of
from nas.cli.places import opened_place

app = typer.Typer(help="Bring files of your own and look at them.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV, JSONL or plain text, by its suffix.")]


@app.command("add", epilog=example("nas data add reviews.csv"))
def add(
    file: FileArgument,
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Add a file under its own name, so that jobs can be run on it. The name then stands for this content for ever."""
    with opened_place(url, database) as place:
        found = add_file(file, place)
    if as_json:
        print_json(found)
    else:
        _print_file(found)


@app.command("list", epilog=example("nas data list"))
def list_files(
    url: ServerOption = None, database: DatabaseOption = DEFAULT_DATABASE, as_json: JsonOption = False
) -> None:
    """List the files that were added."""
    with opened_place(url, database) as place:
        files = place.files()
    if as_json:
        print_json({"files": files})
        return
    columns = ["name", "format", " MB", "added", "sha256"]
    rows = [
        [f["name"], f["format"], f["size_bytes"] / 1e6, f["created_at"][:19].replace("T", " "), f["sha256"][:12]]
        for f in files
    ]
    print_table(table_of(columns, rows))


@app.command("show", epilog=example("nas data show reviews.csv"))
def show(
    file: FileArgument,
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Look at a file: one here, added or not; otherwise one that was added.

    All of it is read: rows, and of each column how many values it has, the commonest of them and how long they are.
    Says what is wrong where it is no table. Of a file at a server the beginning is shown.
    """
    if url is not None:
        with opened_place(url, database) as place:
            found = place.file(file.name)
    elif file.is_file():
        found = _surveyed(file.name, pieces_of(file), size_of(file))
    else:
        with opened_store(database) as store:
            found = _surveyed(file.name, store.file_pieces(file.name), store.file(file.name).size_bytes)
    if as_json:
        print_json(found)
    elif "rows" in found:
        _print_survey(found)
    else:
        _print_file(found)


def _surveyed(name: str, pieces: Any, size_bytes: int) -> dict[str, Any]:
    from nas.errors import InvalidInput
    from nas.quality.datasets.own.document import format_of
    from nas.quality.datasets.own.looking import survey

    form = format_of(name)
    if form is None:
        raise InvalidInput.of("file", name, "a name that ends in .csv, .tsv, .jsonl or .txt", "rename the file")
    with reading_progress(f"reading {name} (MB)", size_bytes) as told:
        return {"name": name, "format": form, "size_bytes": size_bytes, **survey(told(pieces), form)}


def _print_survey(found: dict[str, Any]) -> None:
    print(f"{found['name']}: {found['format']}, {found['rows']:,} rows, {found['size_bytes'] / 1e6:,.1f} MB")
    columns = ["column", " filled", " values", " length 50 %", " 99 %", " longest", "commonest"]
    rows = [
        [
            column["name"],
            column["filled"],
            "many" if column["distinct"] is None else column["distinct"],
            *(column["length_percentiles"].get(p) for p in ("50", "99", "100")),
            _commonest(column["commonest"]),
        ]
        for column in found["columns"]
    ]
    print_table(table_of(columns, rows))
    note("Lengths are in characters. Fewer than 1,000 values make classes.")


def _commonest(values: dict[str, int] | None) -> str:
    return ", ".join(f"{value[:20]} ({count:,})" for value, count in list((values or {}).items())[:5])


def _print_file(found: dict[str, Any]) -> None:
    form, columns = found["format"] or "format not known by its suffix", found["columns"]
    print(f"{found['name']}: {form}, {found['size_bytes'] / 1e6:,.1f} MB")
    print(f"sha256 {found['sha256']}")
    if columns:
        print_table(table_of(columns, [[row.get(column, "") for column in columns] for row in found["first_rows"]]))
