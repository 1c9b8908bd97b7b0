"""Every exception becomes one shape here: `application/problem+json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from api.request_id import request_id_of
from api.schemas.problem import MEDIA_TYPE, ProblemDetails, WrongField
from nas.documents import problems_of
from nas.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    MissingEntry,
    NotFound,
    PocketformerError,
    Problem,
    QuotaExceeded,
    StoreUnavailable,
    TooLarge,
    Unauthenticated,
)


class UnsupportedMediaType(InvalidInput):
    """The content type is not taken."""


class NotReady(PocketformerError):
    """The service is up but can't do its work."""


@dataclass(frozen=True)
class Kind:
    """A kind of problem: its HTTP status, its lasting name, and its title for people."""

    status: int
    name: str
    title: str


UNEXPECTED = Kind(500, "unexpected", "Unexpected error")
TOO_LARGE = Kind(413, "too-large", "The input is larger than what is taken")
TOO_SLOW = Kind(408, "too-slow", "The request did not come in within its time")
COMPRESSED = Kind(415, "unsupported-coding", "The content coding is not taken")
MALFORMED = Kind(400, "malformed", "The request is not HTTP")
HEAD_TOO_LARGE = Kind(431, "head-too-large", "The head of the request is larger than what is taken")
_METHOD_NOT_ALLOWED = Kind(405, "method-not-allowed", "The method is not taken at this address")
MISDIRECTED = Kind(421, "misdirected", "The service does not go by that name")
_UNKNOWN_ROUTE = Kind(404, "unknown-route", "There is no such address")

# The first class that fits decides, so the narrow ones stand first.
_KINDS: tuple[tuple[type[Exception], Kind], ...] = (
    (TooLarge, TOO_LARGE),
    (UnsupportedMediaType, Kind(415, "unsupported-media-type", "The content type is not taken")),
    (InvalidInput, Kind(422, "invalid-input", "The input is not valid")),
    (Unauthenticated, Kind(401, "unauthenticated", "A key is asked for")),
    (Forbidden, Kind(403, "forbidden", "The key is not for that")),
    (QuotaExceeded, Kind(429, "quota-exceeded", "The key has as much as it may have")),
    (NotFound, Kind(404, "not-found", "There is nothing of that name")),
    (Conflict, Kind(409, "conflict", "The request does not fit the present state")),
    (MissingEntry, Kind(422, "missing-entry", "The latency table has no entry for a sub-block")),
    (NotReady, Kind(503, "not-ready", "The service is not ready")),
    (StoreUnavailable, Kind(503, "store-unavailable", "The database does not answer")),
    (PocketformerError, Kind(503, "not-available", "This installation cannot do that")),
)


def handle_problems(app: FastAPI) -> None:
    """Make `app` answer every expected exception as a problem; `api.middleware` answers the unexpected ones."""
    app.add_exception_handler(PocketformerError, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(HTTPException, _answer)
    app.add_exception_handler(ClientDisconnect, _nobody_listens)


def problem_response(
    request_id: str,
    kind: Kind,
    detail: str,
    problems: Iterable[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the problem as a response; the text is ASCII, so that no odd character in a field can break it."""
    details = ProblemDetails(
        type=f"urn:pocketformer:problem:{kind.name}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=f"urn:pocketformer:request:{request_id}",
        errors=[WrongField(**problem.to_dict()) for problem in problems],
    )
    content = json.dumps(details.model_dump())
    return Response(
        content, kind.status, media_type=MEDIA_TYPE, headers={**(headers or {}), "Cache-Control": "no-store"}
    )


async def _answer(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _answer_http(request, error)
    if isinstance(error, RequestValidationError):
        error = InvalidInput(problem for details in error.errors() for problem in problems_of(_named(details)))
    kind = next(kind for error_class, kind in _KINDS if isinstance(error, error_class))
    problems = error.problems if isinstance(error, InvalidInput) else ()
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, QuotaExceeded) and error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return problem_response(request_id_of(request.scope), kind, str(error), problems, headers)


def _answer_http(request: Request, error: HTTPException) -> Response:
    scope, headers = request.scope, error.headers
    match error.status_code:
        case 204:  # no error: there is nothing to say, and the answer has no body
            return Response(status_code=204)
        case 404:
            detail = f"there is no {scope['path']}: /docs lists every address of this service"
            kind = _UNKNOWN_ROUTE
        case 405:
            allowed = ", ".join(_methods_at(request))
            detail = f"{scope['method']} is not taken at {scope['path']}, only {allowed}"
            kind, headers = _METHOD_NOT_ALLOWED, {"Allow": allowed}
        case status:
            detail = str(error.detail)
            kind = Kind(status, "http", HTTPStatus(status).phrase)
    return problem_response(request_id_of(scope), kind, detail, headers=headers)


def _methods_at(request: Request) -> list[str]:
    """Return every method that is taken at the address; Starlette names those of one of its routes only."""
    return [
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.router.routes
        )
    ]


def _named(details: ErrorDetails) -> ErrorDetails:
    """Leave out where FastAPI found the field (query, path, header): the name says it."""
    return details | {"loc": details["loc"][1:]} if len(details["loc"]) > 1 else details


async def _nobody_listens(request: Request, error: Exception) -> Response:  # noqa: ARG001  (the signature is Starlette's)
    return Response(status_code=499)
