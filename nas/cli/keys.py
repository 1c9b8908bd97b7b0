"""`nas keys …`: who may use a server, and who did what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from nas.cli.options import API_KEY, DEFAULT_DATABASE, DatabaseOption, JsonOption, ServerOption, example
from nas.cli.output import note, print_json, print_table, table_of
from nas.cli.places import opened_place

app = typer.Typer(help="Make and revoke keys of a server, and see who did what.", no_args_is_help=True)

_STORAGE = "Gigabytes of files."


@app.command("create", epilog=example("nas keys create anna --role submit", "nas keys create monitoring --role read"))
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is, or what for.")],
    role: Annotated[
        Literal["read", "submit", "admin"],
        typer.Option(help="read looks; submit also brings and runs things; admin also manages keys."),
    ],
    max_open_jobs: Annotated[
        int | None,
        typer.Option(metavar="N", show_default="as the server allows", help="Jobs that have not ended, at once."),
    ] = None,
    max_storage_gb: Annotated[
        float | None, typer.Option(metavar="GB", show_default="as the server allows", help=_STORAGE)
    ] = None,
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print its secret, this once: only a hash of it is kept."""
    asked: dict[str, Any] = {"name": name, "role": role}
    asked |= {} if max_open_jobs is None else {"max_open_jobs": max_open_jobs}
    asked |= {} if max_storage_gb is None else {"max_storage_gb": max_storage_gb}
    with opened_place(url, database) as place:
        key = place.create_key(asked)
    if as_json:
        print_json(key)
        return
    print(key["secret"])
    note(f"The key {key['id']} of {key['name']}, role {key['role']}. Nobody can read its secret again.")
    note(f"Keep it now; commands send what {API_KEY} holds.")


@app.command("list", epilog=example("nas keys list"))
def list_keys(
    url: ServerOption = None, database: DatabaseOption = DEFAULT_DATABASE, as_json: JsonOption = False
) -> None:
    """List every key, revoked ones too."""
    with opened_place(url, database) as place:
        keys = place.api_keys()
    if as_json:
        print_json({"keys": keys})
        return
    columns = ["key", "name", "role", " jobs at once", " files, GB", "created", "last used", "revoked"]
    rows = [
        [
            key["id"],
            key["name"],
            key["role"],
            "" if key["max_open_jobs"] is None else key["max_open_jobs"],
            "" if key["max_storage_bytes"] is None else key["max_storage_bytes"] / 10**9,
            *(_moment(key[name]) for name in ("created_at", "last_used_at", "revoked_at")),
        ]
        for key in keys
    ]
    print_table(table_of(columns, rows))


@app.command("revoke", epilog=example("nas keys revoke k-0f3a91c2"))
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as `nas keys list` shows it.")],
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Let a key open nothing any more; the jobs that it submitted go on."""
    with opened_place(url, database) as place:
        found = place.revoke_key(key)
    if as_json:
        print_json(found)
    else:
        print(f"{found['id']} ({found['name']}) revoked")


@app.command("audit", epilog=example("nas keys audit --limit 20"))
def audit(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of the newest entries.")] = 50,
    url: ServerOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Show who did what, newest first, and what was refused."""
    with opened_place(url, database) as place:
        found = place.audit(None, limit)
    if as_json:
        print_json(found)
        return
    columns = ["at", "who", "key", "did", "what", " answer", "from"]
    rows = [
        [
            _moment(entry["at"]),
            entry["who"],
            entry["key_id"] or "",
            entry["action"],
            entry["path"],
            str(entry["status"] or ""),
            entry["client"] or "",
        ]
        for entry in found["entries"]
    ]
    print_table(table_of(columns, rows))


def _moment(text: str | None) -> str:
    return "" if text is None else text[:19].replace("T", " ")
