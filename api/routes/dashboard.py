"""The dashboard: static files; every page of it is one HTML file whose JavaScript reads the address.

The addresses of all files have a version in them, which the page is told as it goes out: a browser that knows the
page asks for nothing but the page.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from time import monotonic

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount
from starlette.types import Scope

from api.files import Files, always
from api.installed import folder_of, version_of

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parent.parent / "dashboard"
_PLOTLY = "plotly.min.js"
_START = "main.js"
PAGES = {
    "/": "jobs_page.js",
    "/new": "new_job_page.js",
    "/compare": "compare_page.js",
    "/devices": "devices_page.js",
    "/devices/{name}": "device_page.js",
    "/jobs/{job_id}": "job_page.js",
}
"""What is shown under which path: the module that main.js imports there."""
_DRAWS_AT_ONCE = {"job_page.js"}
_IMPORT = re.compile(r'^(?:import|export|\}) .*?from "\./(\w+\.js)";$', re.MULTILINE)
# No inline style: index.html says how plotly is kept from writing any. Exported images come from blob: and data:
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

_State = tuple[tuple[str, int, int], ...]
"""(name, time of the last change, bytes) of every file of the dashboard, in an order that stays."""


def dashboard_files() -> list[Mount]:
    """Return the mounts of plotly's JavaScript and of the dashboard's files."""
    package_data = folder_of("plotly") / "package_data"
    return [
        Mount(_plotly_folder(), Files(package_data, only=(_PLOTLY,), has_version=always)),
        Mount("/static/dashboard-{version}", Files(FOLDER, has_version=_is_current)),
    ]


def _page(module: str) -> Callable[[], Response]:
    def page() -> Response:
        return HTMLResponse(
            _html(_state(), module), headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
        )

    return page


for _path, _module in PAGES.items():
    router.add_api_route(_path, _page(_module), methods=["GET"])


def _plotly_folder() -> str:
    return f"/static/plotly-{version_of('plotly')}"


def _is_current(scope: Scope) -> bool:
    # Not so on a server that is older or newer than the one that sent the page
    return bool(scope["path_params"]["version"] == _version(_state_within(int(monotonic()))))


@lru_cache(maxsize=1)
def _state_within(_second: int) -> _State:
    return _state()


def _state() -> _State:
    paths = (os.path.join(folder, name) for folder, _, names in os.walk(FOLDER) for name in names)
    states = ((os.path.relpath(path, FOLDER), os.stat(path)) for path in paths)
    return tuple(sorted((Path(name).as_posix(), state.st_mtime_ns, state.st_size) for name, state in states))


@lru_cache(maxsize=4)
def _version(state: _State) -> str:
    """Return what differs where the content of any file does, and is the same on every server of one version."""
    content = hashlib.sha256()
    for name, _, _ in state:
        content.update(name.encode() + b"\0" + hashlib.sha256((FOLDER / name).read_bytes()).digest())
    return content.hexdigest()[:16]


@lru_cache(maxsize=16)
def _html(state: _State, module: str) -> str:
    """Return the page with versions in its addresses, and with links to all its modules: they import each other."""
    plotly = "preload" if module in _DRAWS_AT_ONCE else "prefetch"
    folder = f"/static/dashboard-{_version(state)}/"
    links = [f'<link rel="{plotly}" as="script" id="plotly" href="{_plotly_folder()}/{_PLOTLY}">']
    links += [f'<link rel="modulepreload" href="{folder}{name}">' for name in _imported_by(_START, module)]
    text = (FOLDER / "index.html").read_text(encoding="utf-8")
    return text.replace("</head>", "\n".join([*links, "</head>"])).replace("/static/dashboard/", folder)


def _imported_by(*modules: str) -> list[str]:
    """Return these modules and what they import, and so on, those that are asked for first first."""
    found = list(modules)
    for module in found:  # which grows meanwhile
        imports = _IMPORT.findall((FOLDER / module).read_text(encoding="utf-8"))
        found.extend(name for name in dict.fromkeys(imports) if name not in found)
    return found
