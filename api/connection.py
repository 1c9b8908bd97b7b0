"""One caller's connection: uvicorn's HTTP/1.1, with limits of time and size, and refusals in the one shape."""

from __future__ import annotations

import asyncio
import sys
from math import inf

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from api.middleware import HEADERS
from api.problems import HEAD_TOO_LARGE, MALFORMED, TOO_SLOW, Kind, problem_response
from api.request_id import HEADER, give_request_id
from api.settings import Settings
from nas.errors import Problem

MAX_HEAD_BYTES = 16 * 1024
_PIECE_BYTES = 4 * 1024


class Connection(H11Protocol):
    """A connection that is closed on callers who do not finish the head of a request, or never read their answer.

    Uvicorn has a time limit only between an answer and the first byte of the next request: without this, who opens
    connections and sends half a line, or a byte a minute, holds them for ever. How long a body may take is a matter
    of `api.middleware`, which can answer.
    """

    head_timeout_s: float
    send_timeout_s: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with a caller who has to send a request now."""
        super().connection_made(transport)
        self._head_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._unread: float = 0
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; nobody is waited for any more."""
        self._stop_expecting_head()
        if self._reader_timer is not None:
            self._reader_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came in; a head in small pieces, since h11 takes one of any size that comes in at once."""
        pieces = [data]
        if self.conn.their_state is h11.IDLE:
            pieces = [data[start : start + _PIECE_BYTES] for start in range(0, len(data), _PIECE_BYTES)]
        for piece in pieces:
            if self.transport.is_closing():
                return
            super().data_received(piece)
        if self._is_answering:
            self._stop_expecting_head()
        else:
            self._expect_head()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, in the shape of every error."""
        error = sys.exc_info()[1]  # uvicorn is handling it, and does not hand it over
        too_large = isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431
        if too_large and not self._is_answering:
            allowed = f"a request line and headers of at most {MAX_HEAD_BYTES} bytes together"
            problem = Problem("head", "a larger one", allowed, "send fewer and shorter headers, to a shorter address")
            self._refuse(HEAD_TOO_LARGE, problem)
        else:
            next_step = "call with an HTTP client, by http:// unless a proxy before the service speaks TLS"
            self._refuse(MALFORMED, Problem("request", str(error or msg), "HTTP/1.1", next_step))

    def on_response_complete(self) -> None:
        """Wait for the answer to be read, and for the next request."""
        if self.transport.get_write_buffer_size():
            self._expect_reader()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Hold back the rest of an answer until its beginning is read."""
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        """Go on with an answer that is being read."""
        super().resume_writing()
        self._unread = inf  # it was read: what is written from here on is not the same that waited

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._give_up_on_head)

    def _stop_expecting_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up_on_head(self) -> None:
        self._head_timer = None
        if self.transport.is_closing() or self._is_answering:
            return
        begun, _ = self.conn.trailing_data
        if not begun:  # no request was begun that could be answered
            self.transport.close()
            return
        allowed = f"a request line and headers that are complete within {self.head_timeout_s:g} seconds"
        self._refuse(TOO_SLOW, Problem("head", f"{len(begun)} bytes of one", allowed, "send them at once"))

    def _expect_reader(self) -> None:
        if self._reader_timer is None:
            self._unread = self.transport.get_write_buffer_size()
            self._reader_timer = self.loop.call_later(self.send_timeout_s, self._give_up_on_reader)

    def _give_up_on_reader(self) -> None:
        self._reader_timer = None
        unread = self.transport.get_write_buffer_size()
        if unread >= self._unread:
            self.transport.abort()  # to close it would wait for the caller to read the rest
        elif unread:
            self._expect_reader()

    def _refuse(self, kind: Kind, problem: Problem) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            request = give_request_id({})
            answer = problem_response(request, kind, str(problem), [problem])
            more = {HEADER: request, "Connection": "close", **HEADERS}
            headers = [*answer.raw_headers, *((name.encode(), value.encode()) for name, value in more.items())]
            response = h11.Response(status_code=kind.status, headers=headers, reason=STATUS_PHRASES[kind.status])
            for event in (response, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is not None:
            self.cycle.disconnected = True  # what is still being worked out for this caller reaches nobody
            self.cycle.message_event.set()
        self.transport.close()
        self._expect_reader()


def connection_of(settings: Settings) -> type[Connection]:
    """Return connections with the time limits of the settings: uvicorn hands over none but its own."""

    class Limited(Connection):
        """A connection of this service."""

        head_timeout_s = settings.head_timeout_s
        send_timeout_s = settings.send_timeout_s

    return Limited
