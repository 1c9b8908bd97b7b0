"""`/docs` and `/redoc`: the API's reference, out of an installed package, so that it opens without a network."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount

from api.files import Files
from api.installed import folder_of, version_of

router = APIRouter(include_in_schema=False)

_PACKAGE = "fastapi_offline"  # its static folder holds Swagger UI 5 (Apache-2.0) and ReDoc (MIT)
_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pocketformer API</title>
<link rel="icon" href="data:,">
{body}
</html>
"""
_SWAGGER_BODY = """<link rel="stylesheet" href="{folder}/swagger-ui.css">
<div id="reference"></div>
<script src="{folder}/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>"""
_SWAGGER_START = (
    'SwaggerUIBundle({url: "/openapi.json", dom_id: "#reference", deepLinking: true, validatorUrl: null});\n'
)
_REDOC_BODY = """<redoc spec-url="/openapi.json" disable-google-font="true"></redoc>
<script src="{folder}/redoc.standalone.js"></script>"""


def reference_files() -> Mount:
    """Return the mount of the reference's JavaScript, under an address that changes with its version."""
    return Mount(_folder(), Files(folder_of(_PACKAGE) / "static", only=_FILES, address_has_version=True))


@router.get("/docs")
async def swagger() -> Response:
    """Serve Swagger UI."""
    return _page(_SWAGGER_BODY)


@router.get("/docs/start.js")
async def swagger_start() -> Response:
    """Serve the line that starts Swagger UI: a file of its own, so that the page needs no inline script."""
    return Response(_SWAGGER_START, media_type="text/javascript; charset=utf-8")


@router.get("/redoc")
async def redoc() -> Response:
    """Serve ReDoc."""
    return _page(_REDOC_BODY)


def _folder() -> str:
    return f"/static/reference-{version_of(_PACKAGE)}"


def _page(body: str) -> Response:
    content = _PAGE.format(body=body.format(folder=_folder()))
    return HTMLResponse(content, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})
