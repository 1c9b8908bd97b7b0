"""The log of who did what: written before the answer goes out, so that what was acknowledged stands in it."""

from __future__ import annotations

import logging

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import SAFE, principal_seen, role_needed
from api.request_id import request_id_of
from nas.errors import PocketformerError
from nas.store.keys import Role
from nas.store.store import Store

_log = logging.getLogger("pocketformer.api")

FORBIDDEN = 403
STRANGERS = frozenset({401, 429})
"""Refusals of which there may be any number: the server's own log has them, the database is not made to."""


class Audited:
    """Writes an entry for each request that changed something, and for each that a key was not for."""

    def __init__(self, app: ASGIApp, store: Store) -> None:
        self._app = app
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_when_written(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                if status in STRANGERS:
                    _log.warning("%d: %s %s from %s", status, scope["method"], _route(scope), _client(scope))
                elif _counts(scope, status):
                    await anyio.to_thread.run_sync(self._write, scope, status)
            await send(message)

        await self._app(scope, receive, send_when_written)

    def _write(self, scope: Scope, status: int) -> None:
        principal = principal_seen(scope)
        try:
            self._store.add_audit_entry(
                principal.name if principal else "unknown",
                f"{scope['method']} {_route(scope)}",
                scope["path"],
                status,
                key_id=principal.key_id if principal else None,
                client=_client(scope),
                request_id=request_id_of(scope),
            )
        except PocketformerError as error:  # what was done is done: its answer is not held back for that
            _log.error("request %s is not in the log of who did what: %s", request_id_of(scope), error)


def _client(scope: Scope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None


def _counts(scope: Scope, status: int) -> bool:
    if status == FORBIDDEN:
        return principal_seen(scope) is not None
    route = _route(scope)
    changes = scope["method"] not in SAFE and role_needed(scope["method"], route) not in (Role.READ, None)
    return changes and status < 400


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "unknown"))
