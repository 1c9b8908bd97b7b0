"""`/docs`: the API's reference, by Swagger UI out of an installed package, so that it opens without a network.

There is no `/redoc`: ReDoc asks its maker's server for a logo, which nothing but patching it would stop.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount

from api.files import Files, always
from api.installed import folder_of, version_of

router = APIRouter(include_in_schema=False)

_PACKAGE = "fastapi_offline"  # its static folder holds Swagger UI 5 (Apache-2.0), the first to read OpenAPI 3.1
_FILES = ("swagger-ui-bundle.js", "swagger-ui.css")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pocketformer API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{folder}/swagger-ui.css">
<div id="reference"></div>
<script src="{folder}/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
_START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#reference", deepLinking: true, validatorUrl: null});\n'


def reference_files() -> Mount:
    """Return the mount of the reference's JavaScript, under an address that changes with its version."""
    return Mount(_folder(), Files(folder_of(_PACKAGE) / "static", only=_FILES, has_version=always))


@router.get("/docs")
async def reference() -> Response:
    """Serve the page."""
    content = _PAGE.format(folder=_folder())
    return HTMLResponse(content, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})


@router.get("/docs/start.js")
async def start() -> Response:
    """Serve the line that starts Swagger UI: a file of its own, so that the page needs no inline script."""
    return Response(_START, media_type="text/javascript; charset=utf-8")


def _folder() -> str:
    return f"/static/reference-{version_of(_PACKAGE)}"
