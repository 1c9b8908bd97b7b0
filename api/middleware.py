"""What happens around every request, as plain ASGI: id, headers, figures, the unexpected error, limits of bodies."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic, perf_counter
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import RequestMetrics
from api.problems import COMPRESSED, MISDIRECTED, TOO_LARGE, TOO_SLOW, UNEXPECTED, Kind, problem_response
from api.request_id import HEADER, give_request_id, request_id_of
from api.settings import OWN_NAMES, PREFIX
from nas.addresses import is_loopback
from nas.documents import too_large
from nas.errors import Problem

_log = logging.getLogger("pocketformer.api")

HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
"""What every answer has."""
_DRAIN_S = 5.0
_LEAST_BYTES_PER_S = 1_000


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
                for name, value in HEADERS.items():
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


class _Refused(Exception):
    """Raised out of `receive`; only `BodyLimits` sees it."""

    def __init__(self, kind: Kind, problem: Problem) -> None:
        super().__init__(str(problem))
        self.kind, self.problem = kind, problem


class BodyLimits:
    """Refuses a body that is too large, comes too slowly, or is compressed, while it streams in, without keeping it.

    Starlette's own middleware refuses in plain text, a second shape of error that its interface cannot change.
    """

    def __init__(self, app: ASGIApp, limit_of: Callable[[Scope], int], timeout_s: float) -> None:
        self._app = app
        self._limit_of = limit_of
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_of(scope)
        answering = False

        async def send_noting(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        body = _IncomingBody(receive, limit, self._timeout_s, lambda: answering)
        try:
            _check_head(Headers(scope=scope), limit)
            await self._app(scope, body.receive, send_noting)
        except _Refused as refused:
            await _refuse(scope, receive, send, refused)


class _IncomingBody:
    """The body of one request as it comes in, counted in bytes and in the time that the service waited for them.

    The time is a credit: waiting uses it up, bytes give it back, and it never exceeds the time-out. So a large file
    over a slow line is taken, however long it needs, and a body that trickles is not.
    """

    def __init__(self, receive: Receive, limit: int, timeout_s: float, answering: Callable[[], bool]) -> None:
        self._receive = receive
        self._limit = limit
        self._timeout_s = self._credit_s = timeout_s
        self._answering = answering
        self._size = 0
        self._complete = False

    async def receive(self) -> Message:
        """Return the next message; raise `_Refused` unless the answer has begun, when bodies count no more."""
        if self._complete or self._answering():
            return await self._receive()  # who asks now waits for the caller to leave
        asked_at = monotonic()
        try:
            with anyio.fail_after(self._credit_s):
                message = await self._receive()
        except TimeoutError:
            if self._answering():
                return await self._receive()
            raise self._too_slow() from None
        came = len(message.get("body", b""))
        self._size += came
        self._complete = not message.get("more_body", False)
        self._credit_s = min(self._timeout_s, self._credit_s - (monotonic() - asked_at) + came / _LEAST_BYTES_PER_S)
        if self._size > self._limit and not self._answering():
            raise _too_large(self._size, self._limit)
        return message

    def _too_slow(self) -> _Refused:
        allowed = f"at least {_LEAST_BYTES_PER_S} bytes a second, and {self._timeout_s:g} seconds to spare"
        next_step = "send it over a faster line, and all that the request says it has"
        return _Refused(TOO_SLOW, Problem("body", f"{self._size} bytes, then too few in time", allowed, next_step))


def _check_head(headers: Headers, limit: int) -> None:
    stated = headers.get("content-length", "0")
    if stated.isdecimal() and int(stated) > limit:
        raise _too_large(int(stated), limit)
    coding = headers.get("content-encoding", "identity")
    if coding.strip().lower() not in ("identity", ""):
        # A few kilobytes of gzip unfold to gigabytes: nothing that is sent is ever decompressed
        problem = Problem("Content-Encoding", coding, "none, or identity", "send the body as it is, not compressed")
        raise _Refused(COMPRESSED, problem)


def _too_large(size: int, limit: int) -> _Refused:
    return _Refused(TOO_LARGE, too_large("body", size, limit))


async def _refuse(scope: Scope, receive: Receive, send: Send, refused: _Refused) -> None:
    response = problem_response(
        request_id_of(scope),
        refused.kind,
        str(refused.problem),
        [refused.problem],
        headers={"Connection": "close"},
    )
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    # Who sends everything before reading would meet a reset instead of the answer: let it run out, unkept
    with anyio.move_on_after(_DRAIN_S if refused.kind is not TOO_SLOW else 0):
        message = await receive()
        while message["type"] == "http.request" and message.get("more_body"):
            message = await receive()
    await send({"type": "http.response.body", "body": b"", "more_body": False})
