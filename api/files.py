"""Files served as they are: the dashboard's own, and JavaScript out of installed packages."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import anyio
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

# The system's own list is not asked: on some machines it calls JavaScript text/plain, which no browser runs.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_TEXT = frozenset({".css", ".html", ".js", ".json", ".mjs", ".svg"})
_FOREVER = "public, max-age=31536000, immutable"
_ASK_FIRST = "no-cache"

HasVersion = Callable[[Scope], bool]


def always(_: Scope) -> bool:
    """Say that the address of a request names the version of its file."""
    return True


class Files(StaticFiles):
    """A folder of files of known types; anything else in it does not exist to callers. Text goes out compressed.

    Where `has_version` says that a request's address names the version of the file, a browser may keep it for ever.
    """

    def __init__(self, folder: Path, *, only: Collection[str] | None = None, has_version: HasVersion) -> None:
        super().__init__(directory=folder)
        self._only = only
        self._has_version = has_version

    def lookup_path(self, path: str) -> tuple[Any, os.stat_result | None]:
        """Return the file's full path and state; only files that are meant to be served are found."""
        if PurePath(path).suffix not in _TYPES or (self._only is not None and path not in self._only):
            return "", None
        return super().lookup_path(path)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file, compressed for a caller who takes that."""
        response = await super().get_response(path, scope)
        if not isinstance(response, FileResponse) or response.stat_result is None:
            return response
        if PurePath(path).suffix not in _TEXT:
            return response
        response.headers["Vary"] = "Accept-Encoding"
        if "gzip" not in Headers(scope=scope).get("accept-encoding", ""):
            return response
        state = response.stat_result
        content = await anyio.to_thread.run_sync(_compressed, str(response.path), state.st_mtime_ns, state.st_size)
        kept = ("Cache-Control", "Content-Type", "Last-Modified", "Vary")
        headers = {name: response.headers[name] for name in kept}
        # Weak: the bytes are others than those of the file as it is
        headers |= {"Content-Encoding": "gzip", "ETag": f"W/{response.headers['ETag']}"}
        return Response(content, headers=headers)

    def file_response(
        self, full_path: Any, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return the file under its type, or 304 to who has it."""
        response = FileResponse(
            full_path,
            status_code,
            headers={"Cache-Control": _FOREVER if self._has_version(scope) else _ASK_FIRST},
            media_type=_TYPES[PurePath(full_path).suffix],
            stat_result=stat_result,
        )
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response


@lru_cache(maxsize=256)
def _compressed(path: str, _modified_ns: int, _size: int) -> bytes:
    return gzip.compress(Path(path).read_bytes(), compresslevel=6, mtime=0)
