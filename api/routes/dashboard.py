"""The dashboard: static files; every page of it is one HTML file whose JavaScript reads the address."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount

from api.files import Files
from api.installed import folder_of, version_of

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parent.parent / "dashboard"
_PLOTLY = "plotly.min.js"
# No inline style: index.html says how plotly is kept from writing any. Exported images come from blob: and data:
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def dashboard_files() -> list[Mount]:
    """Return the mounts of plotly's JavaScript, its version in the address, and of the dashboard's files."""
    package_data = folder_of("plotly") / "package_data"
    return [
        Mount(_plotly_folder(), Files(package_data, only=(_PLOTLY,), address_has_version=True)),
        Mount("/static/dashboard", Files(FOLDER)),
    ]


@router.get("/")
@router.get("/new")
@router.get("/compare")
@router.get("/devices")
@router.get("/devices/{name}")
@router.get("/jobs/{job_id}")
async def page() -> Response:
    """Serve the one page."""
    return FileResponse(
        FOLDER / "index.html",
        media_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"},
    )


@router.get(f"/static/{_PLOTLY}")
async def plotly() -> Response:
    """Point at the installed version, whose address a browser may keep for ever."""
    return RedirectResponse(f"{_plotly_folder()}/{_PLOTLY}", headers={"Cache-Control": "no-cache"})


def _plotly_folder() -> str:
    return f"/static/plotly-{version_of('plotly')}"
