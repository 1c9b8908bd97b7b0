"""How requests are read: bodies as documents, queries without unknown names, keys, conditions."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic.json_schema import SkipJsonSchema

from api.problems import UnsupportedMediaType
from api.services import ServicesDep
from nas.documents import parse_document, parse_json
from nas.errors import InvalidInput, Problem, shown

JSON = "application/json"
YAML = "application/yaml"
_YAML_NAMES = frozenset({YAML, "application/x-yaml", "text/yaml", "text/x-yaml"})


@dataclass(frozen=True)
class Body:
    """The raw body of a request and what it says it is."""

    content_type: str
    content: bytes


async def _body(request: Request) -> Body:
    header = Message()
    header["Content-Type"] = request.headers.get("content-type", "")
    stated = header.get_content_type() if request.headers.get("content-type") else ""
    return Body(stated, await request.body())


def _document(body: Annotated[Body, Depends(_body)]) -> dict[str, Any]:
    if body.content_type in _YAML_NAMES:
        return parse_document(body.content, "body")
    if body.content_type == JSON:
        return parse_json(body.content, "body")
    raise _refused(body, f"{JSON}, {YAML}")


def _table_document(body: Annotated[Body, Depends(_body)], services: ServicesDep) -> dict[str, Any]:
    if body.content_type != JSON:
        raise _refused(body, JSON)
    return parse_json(body.content, "body", services.settings.max_latency_table_bytes)


def _refused(body: Body, allowed: str) -> UnsupportedMediaType:
    next_step = f"say what the body is, as `Content-Type: {JSON}`"
    return UnsupportedMediaType([Problem("Content-Type", body.content_type or None, allowed, next_step)])


# Plain functions run on a thread, so a slow parse holds up nobody else.
DocumentDep = Annotated[dict[str, Any], Depends(_document)]
"""The body, JSON or YAML, as plain values."""
TableDocumentDep = Annotated[dict[str, Any], Depends(_table_document)]
"""The body, JSON of up to the size of a latency table, as plain values."""


def takes(schema: str, *, yaml: bool = True) -> dict[str, Any]:
    """Return the OpenAPI part that documents a body of this component schema, as JSON and also as YAML."""
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    types = (JSON, YAML) if yaml else (JSON,)
    return {"requestBody": {"required": True, "content": dict.fromkeys(types, content)}}


async def refuse_unknown_query(request: Request) -> None:
    """Raise `InvalidInput` for a query parameter that the route does not know: a typing error is never ignored."""
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = sorted(_query_names(route.dependant))
    allowed = ", ".join(known) or "no query parameters"
    problems = [
        Problem(name, value, allowed, "remove it or mend its spelling")
        for name, value in request.query_params.items()
        if name not in known
    ]
    if problems:
        raise InvalidInput(problems)


def _query_names(dependant: Dependant) -> set[str]:
    names = {parameter.alias for parameter in dependant.query_params}
    return names.union(*map(_query_names, dependant.dependencies))


async def _idempotency_key(
    idempotency_key: Annotated[
        str | SkipJsonSchema[None],
        Header(
            description="A text of your own; sending the same key and body again gives the first job.",
            json_schema_extra={"minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
        ),
    ] = None,
) -> str | None:
    key = idempotency_key
    if key is not None and not (1 <= len(key) <= 200 and key.isascii() and key.isprintable()):
        raise InvalidInput.of(
            "Idempotency-Key", shown(key), "1 to 200 printable ASCII characters", "send a UUID, for example"
        )
    return key


IdempotencyKeyDep = Annotated[str | None, Depends(_idempotency_key)]
