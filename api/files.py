"""Files served as they are: the dashboard's own, and JavaScript out of installed packages."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path, PurePath
from typing import Any

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
_FOREVER = "public, max-age=31536000, immutable"
_ASK_FIRST = "no-cache"


class Files(StaticFiles):
    """A folder of files of known types; anything else in it does not exist to callers."""

    def __init__(self, folder: Path, *, only: Collection[str] | None = None, address_has_version: bool = False) -> None:
        super().__init__(directory=folder)
        self._only = only
        self._cache_control = _FOREVER if address_has_version else _ASK_FIRST

    def lookup_path(self, path: str) -> tuple[Any, os.stat_result | None]:
        """Return the file's full path and state; only files that are meant to be served are found."""
        if PurePath(path).suffix not in _TYPES or (self._only is not None and path not in self._only):
            return "", None
        return super().lookup_path(path)

    def file_response(
        self, full_path: Any, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return the file under its type, or 304 to who has it."""
        response = FileResponse(
            full_path,
            status_code,
            headers={"Cache-Control": self._cache_control},
            media_type=_TYPES[PurePath(full_path).suffix],
            stat_result=stat_result,
        )
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response
