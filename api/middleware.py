"""What happens around every request, as plain ASGI: id, headers, figures, the unexpected error, the body limit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import RequestMetrics
from api.problems import MISDIRECTED, TOO_LARGE, UNEXPECTED, problem_response
from api.request_id import HEADER, give_request_id, request_id_of
from api.settings import OWN_NAMES, PREFIX
from nas.addresses import is_loopback
from nas.documents import too_large
from nas.errors import Problem

_log = logging.getLogger("pocketformer.api")

_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_DRAIN_S = 5.0


class Around:
    """Gives each request an id, adds the headers every answer has, counts it, and answers unexpected errors."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = give_request_id(scope)
        started_at = perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers[HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            _log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
            if status:
                raise  # the answer has begun: only a broken connection can tell the caller now
            detail = "the service met an error it did not expect; it is in the server's log under this request's id"
            await problem_response(request_id, UNEXPECTED, detail)(scope, receive, send_with_headers)
        finally:
            self._metrics.answered(scope, status, perf_counter() - started_at)


class OwnNames:
    """Answers only who calls this machine by one of its own names.

    A web page of a stranger can let its own name point at 127.0.0.1, and would then pass a browser's checks and use
    a service that asks nobody to log in; its name in the Host header gives it away.
    """

    def __init__(self, app: ASGIApp, allowed: tuple[str, ...] = ()) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "")
            name = _hostname(host)
            if not is_loopback(name) and name not in self._allowed:
                names = ", ".join((*self._allowed, OWN_NAMES))
                advice = f"call the service by one of these names, or add this one to {PREFIX}ALLOWED_HOSTS"
                problem = Problem("Host", host, names, advice)
                answer = problem_response(request_id_of(scope), MISDIRECTED, str(problem), [problem])
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


class _BodyTooLarge(Exception):
    """Raised out of `receive`; only `BodyLimit` sees it."""


class BodyLimit:
    """Refuses a body above the limit with 413 while it streams in, without keeping it.

    Starlette's own middleware refuses in plain text, a second shape of error that its interface cannot change.
    """

    def __init__(self, app: ASGIApp, limit_of: Callable[[Scope], int]) -> None:
        self._app = app
        self._limit_of = limit_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_of(scope)
        stated = Headers(scope=scope).get("content-length", "0")
        if stated.isdecimal() and int(stated) > limit:
            await _refuse(scope, receive, send, int(stated), limit)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _BodyTooLarge
            return message

        try:
            await self._app(scope, receive_within_limit, send)
        except _BodyTooLarge:
            await _refuse(scope, receive, send, received, limit)


async def _refuse(scope: Scope, receive: Receive, send: Send, size: int, limit: int) -> None:
    problem = too_large("body", size, limit)
    response = problem_response(
        request_id_of(scope), TOO_LARGE, str(problem), [problem], headers={"Connection": "close"}
    )
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    # Who sends everything before reading would meet a reset instead of the answer: let it run out, unkept
    with anyio.move_on_after(_DRAIN_S):
        message = await receive()
        while message["type"] == "http.request" and message.get("more_body"):
            message = await receive()
    await send({"type": "http.response.body", "body": b"", "more_body": False})
