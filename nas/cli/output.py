"""How results are printed: JSON and tables to standard output, problems and progress to standard error."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas.errors import InvalidInput, PocketformerError, shown

if TYPE_CHECKING:
    from rich.table import Table


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_error(error: PocketformerError) -> None:
    """Print what is wrong to standard error: for bad input each field, its value, what is allowed, what to do."""
    lines = []
    if isinstance(error, InvalidInput):
        lines.append("error: the input is not valid")
        for problem in error.problems:
            lines += [
                f"  {problem.field}",
                f"    given:    {shown(problem.value)}",
                f"    allowed:  {problem.allowed}",
                f"    next:     {problem.next_step}",
            ]
    else:
        lines.append(f"error: {error}")
    print("\n".join(_visible(line) for line in lines), file=sys.stderr)


def note(text: str) -> None:
    """Print a remark to standard error, where it is in no machine's way."""
    print(_visible(text), file=sys.stderr, flush=True)


def _visible(text: str) -> str:
    """Return the text with control characters spelt out: names come from strangers, terminals obey."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def print_table(table: Table) -> None:
    """Print a table to standard output, never narrower than its words where nobody looks at a screen."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    console.print(table)


def table_text(table: Table) -> str:
    """Return a table as plain text."""
    from rich.console import Console

    console = Console(highlight=False, width=200, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def table_of(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table; columns whose name begins with a space are numbers, and stand to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_header=any(c.strip() for c in columns))
    for column in columns:
        table.add_column(Text(column.strip()), justify="right" if column.startswith(" ") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_visible(text_of(value))) for value in row))
    return table


def text_of(value: Any) -> str:
    """Return a value for a person: counts with thin groups, measures with four digits, nothing as a dash."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
        case _:
            return str(value)


def front_table(front: Mapping[str, Any]) -> Table:
    """Return the members of a front, as the API describes it, the knee marked."""
    objectives = [objective["name"] for objective in front["objectives"]]
    costs = [name for name in ("parameters", "macs") if name not in objectives]
    columns = ["", " trial", *(f" {_heading(objective)}" for objective in front["objectives"])]
    rows = [
        [
            "knee →" if member["number"] == front["knee"] else "",
            str(member["number"]),
            *(member["metrics"].get(name) for name in (*objectives, *costs)),
            architecture_text(member["architecture"]),
        ]
        for member in front["members"]
    ]
    return table_of([*columns, *(f" {name}" for name in costs), "architecture"], rows)


def _heading(objective: Mapping[str, Any]) -> str:
    name = str(objective["name"]).replace("@", "\n@")  # a narrow column
    label = f"\n({objective['label_of_quality']})" if objective.get("label_of_quality") else ""
    return f"{name}{' ↑' if objective['direction'] == 'maximize' else ''}{label}"


def architecture_text(architecture: Mapping[str, Any]) -> str:
    """Return an architecture on one line: of each stack the hidden size, the layers and what holds for all of them."""
    stacks = [(name, architecture[name]) for name in ("encoder", "decoder") if architecture.get(name)]
    texts = [(f"{name} " if len(stacks) > 1 else "") + _stack_text(stack) for name, stack in stacks]
    tied = architecture.get("tied_embeddings", "none")
    return " | ".join(texts) + (f"; {tied} tied" if tied != "none" else "")


def _stack_text(stack: Mapping[str, Any]) -> str:
    layers = Counter(_layer_text(layer) for layer in stack["layers"])
    parts = [f"{count} × {text}" if count > 1 else text for text, count in layers.items()]
    size = f"d {stack['hidden_size']}" + (f" from {stack['embedding_size']}" if stack.get("embedding_size") else "")
    repeats = stack.get("repeats", 1)
    style = [stack["positions"], f"{stack['norm_position']}-norm", stack["activation"]]
    style += ["rms"] if stack.get("norm") == "rms" else []
    style += [f"each layer run {repeats} times"] if repeats > 1 else []
    return f"{size}: {' + '.join(parts)}; {', '.join(style)}"


def _layer_text(layer: Mapping[str, Any]) -> str:
    text = f"{_attention_text(layer)} ff {layer['feed_forward_size']}"
    text += f" {layer['activation']}" if layer.get("activation") else ""
    cross = layer.get("cross")
    if cross:
        text += f" cross {_attention_text(cross)}" + (f" of {cross['reads']} layers" if cross["reads"] > 1 else "")
    return text


def _attention_text(attention: Mapping[str, Any]) -> str:
    """Return e.g. `grouped-query/8:2` (heads and key/value heads), `local/4 window 16`."""
    text = str(attention["attention"])
    text += f"/{attention['heads']}" if attention.get("heads") else ""
    text += f":{attention['key_value_heads']}" if attention.get("key_value_heads") else ""
    words = (("head_size", "of"), ("window", "window"), ("kernel_size", "kernel"), ("rank", "rank"))
    return text + "".join(f" {word} {attention[name]}" for name, word in words if attention.get(name))


def duration_text(seconds: float | None) -> str:
    """Return a duration as `1:05` or `2:03:04`; a dash when it isn't known."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
