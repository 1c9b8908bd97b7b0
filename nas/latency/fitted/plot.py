"""A picture of a file's rows: how far off each is, in file order, the drifted blocks marked."""

from __future__ import annotations

import numpy as np

from nas.latency.fitted.drift import Screening


def residual_plot(screening: Screening, title: str) -> str:
    """Return a whole HTML page that needs nothing else, not even a network."""
    from plotly import graph_objects as go  # noqa: PLC0415  (slow to import, seldom wanted)

    rows = np.arange(1, len(screening.errors) + 1)
    figure = go.Figure(layout={"title": {"text": title}, "template": "plotly_white", "showlegend": True})
    single = np.isin(rows, np.array(screening.outlying, dtype=int) + 1)
    for name, chosen in (
        ("kept", screening.clean & ~single),
        ("single row far off", single),
        ("drifted", ~screening.clean),
    ):
        y = 100 * screening.errors[chosen]
        figure.add_scatter(x=rows[chosen], y=y, mode="markers", marker={"size": 4}, name=name)
    for block in screening.blocks:
        words = f"rows {block.first + 1} to {block.last + 1}: {block.shift:+.0%}"
        figure.add_vrect(x0=block.first + 0.5, x1=block.last + 1.5, opacity=0.15, fillcolor="red", line_width=0)
        figure.add_annotation(x=block.first + 1, xanchor="left", y=1, yref="paper", text=words, showarrow=False)
    figure.update_xaxes(title="row in the file")
    figure.update_yaxes(title="measured above predicted [%]")
    return str(figure.to_html(include_plotlyjs=True))
