"""Curves as a PNG, drawn by plotly in chromium."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import plotly.graph_objects as go
from playwright.sync_api import sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def draw_curves(x: Sequence[float], curves: Mapping[str, Sequence[float]], title: str, label: str, path: Path) -> None:
    """Draw one curve for each name against the number of evaluations."""
    figure = go.Figure(
        [go.Scatter(x=list(x), y=list(curve), mode="lines", name=name) for name, curve in curves.items()]
    )
    figure.update_layout(
        title=title,
        xaxis={"title": "evaluations"},
        yaxis={"title": label},
        template="plotly_white",
        width=760,
        height=480,
    )
    write_png(figure, path)


def write_png(figure: go.Figure, path: Path) -> None:
    """Write a figure, which states its width and height, as a picture."""
    size = {"width": int(figure.layout.width) + 20, "height": int(figure.layout.height) + 20}
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        page_file = Path(directory) / "plot.html"
        figure.write_html(page_file, include_plotlyjs=True, config={"displayModeBar": False})
        chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=size)
        page.goto(page_file.as_uri())
        page.wait_for_selector(".main-svg")
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(path))
        browser.close()
    print(f"wrote {path}")
