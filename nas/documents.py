"""Reading documents from outside: YAML and JSON into plain values, plain values into validated models.

Everything that a person or a program sends passes through here. YAML is read by PyYAML's safe loader with
anchors, duplicate keys and deep nesting refused, so that a document of a few bytes can't grow to gigabytes, and
with a limit on its values, of which PyYAML reads only some 40,000 a second; JSON is read without NaN and
infinities, which JSON does not have.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from nas.errors import InvalidInput, Problem, TooLarge, shown

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_YAML_NODES = 20_000

M = TypeVar("M", bound=BaseModel)


class StrictModel(BaseModel):
    """The base of every document: frozen, no unknown fields, no conversions between types, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader without anchors, duplicate keys and dates, up to `MAX_DEPTH` and `MAX_YAML_NODES`."""

    _depth = 0
    _nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.constructor.ConstructorError(
                None, None, "anchors and aliases (& and *) are not taken", event.start_mark
            )
        self._depth += 1
        self._nodes += 1
        if self._nodes > MAX_YAML_NODES:
            raise yaml.constructor.ConstructorError(
                None, None, f"more than {MAX_YAML_NODES} values are not taken as YAML: use JSON", event.start_mark
            )
        if self._depth > MAX_DEPTH:
            raise yaml.constructor.ConstructorError(
                None, None, f"nesting deeper than {MAX_DEPTH} levels is not taken", event.start_mark
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {shown(key)} is not text", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {shown(key)} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# 1e6 is a number to everyone but YAML 1.1, which wants 1.0e+6; a date is text to us.
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def parse_document(text: str | bytes, field: str = "document") -> dict[str, Any]:
    """Parse YAML or JSON text (JSON is a subset of YAML) into a mapping of plain values.

    Raises `TooLarge` above `MAX_BYTES`, `InvalidInput` for text that is not one mapping, for tags, anchors,
    duplicate keys, deep nesting, and for numbers that are not finite.
    """
    return _mapping(text, field, MAX_BYTES, _parse, "one YAML or JSON mapping")


def parse_json(text: str | bytes, field: str = "document", limit: int = MAX_BYTES) -> dict[str, Any]:
    """Parse JSON text of at most `limit` bytes, and nothing else, into a mapping of plain values.

    Raises as `parse_document` does; for documents that only machines write, and too large to be read as YAML.
    """
    return _mapping(text, field, limit, _parse_json, "one JSON object")


def _mapping(text: str | bytes, field: str, limit: int, parse: Callable[[str], Any], allowed: str) -> dict[str, Any]:
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > limit:
        raise TooLarge([too_large(field, len(raw), limit)])
    try:
        value = parse(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidInput.of(
            field, raw[:20], "UTF-8 text", f"save the document as UTF-8 (byte {error.start} is not)"
        ) from error
    except (yaml.YAMLError, json.JSONDecodeError, RecursionError, ValueError) as error:
        raise InvalidInput.of(
            field, text if len(text) < 60 else f"{len(raw)} bytes", allowed, _reason(error)
        ) from error
    if not isinstance(value, dict):
        raise InvalidInput.of(field, value, allowed, "put the fields at the top level, as `name: value`")
    refuse_non_finite(value)
    return value


def too_large(field: str, size: int, limit: int = MAX_BYTES) -> Problem:
    """Return the problem of an input of `size` bytes where at most `limit` are taken."""
    return Problem(field, f"{size} bytes", f"at most {limit} bytes", "send a smaller document")


def _parse(text: str) -> Any:
    if text.lstrip()[:1] == "{":
        try:
            return _parse_json(text)
        except json.JSONDecodeError:
            return yaml.load(text, Loader=_StrictLoader)  # YAML's flow mapping also opens with {
    return yaml.load(text, Loader=_StrictLoader)


def _parse_json(text: str) -> Any:
    value = json.loads(text, object_pairs_hook=_unique_keys)
    _refuse_nesting(value, MAX_DEPTH)
    return value


def _refuse_nesting(value: Any, levels_left: int) -> None:
    if isinstance(value, dict | list):
        if not levels_left:
            raise ValueError(f"nesting deeper than {MAX_DEPTH} levels is not taken")
        for inner in value.values() if isinstance(value, dict) else value:
            _refuse_nesting(inner, levels_left - 1)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {shown(key)} stands twice")
        result[key] = value
    return result


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):  # the parser gave up before the depth could be counted
        return f"mend it: nesting deeper than {MAX_DEPTH} levels is not taken"
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error) or type(error).__name__
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"mend {where}{problem}"


def refuse_non_finite(value: Any, path: str = "") -> None:
    """Raise `InvalidInput` naming the first NaN or infinity anywhere inside `value`."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput.of(path or "document", value, "a finite number", "replace it by a number")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            refuse_non_finite(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            refuse_non_finite(inner, f"{path}[{index}]")


def validate(model: type[M], value: Any, field: str = "") -> M:
    """Return `value` as an instance of the pydantic `model`; raise `InvalidInput` with one problem a field."""
    try:
        return model.model_validate_json(json.dumps(value)) if not isinstance(value, model) else value
    except ValidationError as error:
        raise InvalidInput(p for details in error.errors() for p in problems_of(details, field)) from error
    except (TypeError, ValueError) as error:
        raise InvalidInput.of(field or "document", value, "JSON values", str(error)) from error


def problems_of(details: ErrorDetails, prefix: str = "") -> list[Problem]:
    """Return one of pydantic's error details in our own words, its field path below `prefix`."""
    path = prefix
    for part in details["loc"]:
        path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else str(part))
    inner = details.get("ctx", {}).get("error")
    if isinstance(inner, InvalidInput):  # raised by a validator of ours, already in our own words
        return list(inner.under(path).problems if path else inner.problems)
    match details["type"]:
        case "missing":
            return [Problem(path, None, "a value (the field is required)", f"add `{path}`")]
        case "extra_forbidden":
            return [Problem(path, details["input"], "no field of this name", "remove it or mend its spelling")]
        case "too_short" if isinstance(details["input"], list | dict):
            least = int(details["ctx"]["min_length"])
            if len(details["input"]) >= least:
                return []  # it is only short of the entries that are wrong, each named on its own
            return [Problem(path, details["input"], f"at least {least} entries", f"add to `{path}`")]
        case "too_long" if isinstance(details["input"], list | dict):
            most = int(details["ctx"]["max_length"])
            return [Problem(path, details["input"], f"at most {most} entries", f"shorten `{path}`")]
        case _:
            allowed = details["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
            return [Problem(path or "document", details["input"], allowed, f"correct `{path or 'document'}`")]


def to_yaml(value: Mapping[str, Any]) -> str:
    """Return plain values as YAML that `parse_document` reads back to equal values."""
    return yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper without aliases, short mappings and lists of scalars on one line.

    It resolves plain text as the loader does, so that text which would be read as a number is quoted.
    """

    yaml_implicit_resolvers = _StrictLoader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  (the signature is PyYAML's)
        return True

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        plain = all(not isinstance(v, dict | list | tuple) for v in sequence)
        return super().represent_sequence(tag, sequence, (plain and len(sequence) <= 16) or flow_style)

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        plain = all(not isinstance(v, dict | list | tuple) for v in mapping.values())
        return super().represent_mapping(tag, mapping, (plain and len(mapping) <= 5) or flow_style)
