"""What axe-core finds on a page, one line a finding."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

MOST_HTML = 160


def findings(page: Page) -> list[str]:
    """Return what every rule of axe finds on the page as it is now, after making sure that the rules were run."""
    response: dict[str, Any] = Axe().run(page, options={"resultTypes": ["violations", "passes"]}).response
    assert len(response["passes"]) > 10
    return [_line(found, node) for found in response["violations"] for node in found["nodes"]]


def _line(found: dict[str, Any], node: dict[str, Any]) -> str:
    why = [check["message"] for kind in ("any", "all", "none") for check in node[kind]]
    return f"{found['impact']}: {found['id']}: {node['html'][:MOST_HTML]} {node['target']} {'; '.join(why)}"
