"""What several commands take, and what they open with it."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.errors import InvalidInput, TooLarge

if TYPE_CHECKING:
    from nas.client import Client
    from nas.store.store import Store
    from nas.workload import Workload

DEFAULT_DATABASE = "sqlite:///data/pocketformer.db"
DEFAULT_URL = "http://127.0.0.1:8000"
API_KEY = "POCKETFORMER_API_KEY"
"""The variable that holds the key for servers that ask for one."""

DatabaseOption = Annotated[
    str,
    typer.Option(
        "--database",
        envvar="POCKETFORMER_DATABASE_URL",
        metavar="ADDRESS",
        help="sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
    ),
]
UrlOption = Annotated[
    str, typer.Option("--url", envvar="POCKETFORMER_URL", metavar="URL", help="The server's address.")
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        show_default="work in the database",
        help="Speak to the server at this address instead of working in a database.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
ProcessesOption = Annotated[
    int | None,
    typer.Option(
        "--processes",
        min=1,
        max=256,
        show_default="one a core, or a thread of the Dask cluster",
        help="How many candidates to train at once.",
    ),
]
EvaluatorsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--evaluator",
        envvar="POCKETFORMER_EVALUATORS",
        metavar="MODULE:FUNCTION",
        show_default="none",
        help="Code of your own that jobs may name as their evaluator; repeat it for more.",
    ),
]
BatchOption = Annotated[int, typer.Option("--batch", help="Sequences in one inference.")]
OwnBatchOption = Annotated[
    int | None,
    typer.Option("--batch", show_default="the configuration's, or 1", help="Sequences in one inference."),
]
OwnLengthOption = Annotated[
    int | None,
    typer.Option("--input-length", show_default="the configuration's, or the longest", help="Tokens in one sequence."),
]
OwnOutputOption = Annotated[
    int | None,
    typer.Option(
        "--output-length",
        show_default="the configuration's; else a decoder reads half and writes half of its longest sequence",
        help="Tokens to write.",
    ),
]


def example(*commands: str) -> str:
    """Return the end of a command's help: what to type. Each is a line of its own."""
    return "\n\n".join(["Example:", *commands])


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import what is heavy without looking for garbage meanwhile: there is none, and it takes a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor is any of it looked through later
        gc.enable()


@contextmanager
def opened_store(address: str) -> Iterator[Store]:
    """Open the database, bring its tables up to date, and close it again. Makes the default one's folder."""
    from nas.store.store import Store

    make_data_folder(address)
    store = Store.open(address)
    try:
        store.migrate()
        yield store
    finally:
        store.close()


def make_data_folder(address: str) -> None:
    """Make the folder of the default database; any other place is its owner's to make."""
    if address == DEFAULT_DATABASE:
        with writing("database", Path("data"), "a folder, or no file in its place"):
            Path("data").mkdir(exist_ok=True)


@contextmanager
def opened_client(url: str) -> Iterator[Client]:
    """Open a client of the server at `url`, with the key of the environment if it has one, and close it again."""
    from nas.client import Client

    with Client(url, api_key=os.environ.get(API_KEY) or None) as client:
        yield client


def workload_of(batch: int, input_length: int, output_length: int = 0) -> Workload:
    """Return the workload of these options; raise `InvalidInput` naming the option that is wrong."""
    from nas.documents import validate
    from nas.workload import Workload

    given = {"batch": batch, "input_length": input_length, "output_length": output_length}
    return validate(Workload, given, "workload")


@contextmanager
def writing(option: str, path: Path, allowed: str = "a file that can be written") -> Iterator[None]:
    """Turn an `OSError` into `InvalidInput` for the option that names `path`."""
    try:
        yield
    except OSError as error:
        next_step = f"name another place, or make this one writable ({error.strerror or error})"
        raise InvalidInput.of(option, str(path), allowed, next_step) from error


def check_file(option: str, path: Path) -> None:
    """Raise `InvalidInput` unless a file can be written there; called before work that would be lost."""
    with writing(option, path):
        existed = path.exists()
        if existed and not (path.is_file() or path.is_dir()):
            return  # a pipe or a device, whose reader must not see it open and close
        path.open("ab").close()
        if not existed:
            path.unlink()


def make_folder(option: str, folder: Path) -> None:
    """Make a folder unless it is there; raise `InvalidInput` unless files can be written in it."""
    with writing(option, folder, "a folder that files can be written in"):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            """It can be written in."""


def read_document(path: Path) -> dict[str, Any]:
    """Return the YAML or JSON mapping in a file; raise `InvalidInput` naming the file."""
    from nas.documents import MAX_BYTES, parse_document

    return parse_document(read_file(path, MAX_BYTES), path.name)


def read_file(path: Path, limit_bytes: int = 2_000_000_000) -> bytes:
    """Return a file's bytes; raise `InvalidInput` where there is none that can be read, or a longer one."""
    try:
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except OSError as error:
        raise InvalidInput.of(
            "file", str(path), "a file that can be read", f"check the path ({error.strerror})"
        ) from error
    if len(content) > limit_bytes:
        raise TooLarge.of("file", str(path), f"at most {limit_bytes} bytes", "give a smaller file")
    return content
