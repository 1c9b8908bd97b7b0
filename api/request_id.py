"""The id that one request carries through the log, the answer and any problem."""

from __future__ import annotations

import secrets

from starlette.types import Scope

HEADER = "X-Request-ID"
_KEY = "pocketformer.request_id"


def give_request_id(scope: Scope) -> str:
    """Give the request a new id and return it. Callers' own are not trusted to be short, safe or unique."""
    scope[_KEY] = secrets.token_hex(8)
    return str(scope[_KEY])


def request_id_of(scope: Scope) -> str:
    """Return the id of the request."""
    return str(scope[_KEY])
