// What an axis is called, and which way is better.

import { escaped } from "./front_limits.js";

const NARROW = "(max-width: 480px)";

/** The title of an axis in lines of plain text: below a chart two on a phone, where one is often wider than the chart. */
export function linesOf(metric, side) {
  return side === "below" && matchMedia(NARROW).matches ? parts(metric) : [parts(metric).join("  ")];
}

/** The title of the axis below a chart, as the chart's program reads it. */
export function titleBelow(metric) {
  return linesOf(metric, "below").map(escaped).join("<br>");
}

/** The title of the other axis as an annotation above it: quicker to read than text on its side, and without width. */
export function titleAbove(metric, colours) {
  return {
    xref: "paper",
    yref: "paper",
    x: 0,
    y: 1,
    xanchor: "left",
    yanchor: "bottom",
    xshift: -6,
    yshift: 12,
    showarrow: false,
    text: linesOf(metric, "above").map(escaped).join("<br>"),
    font: { size: 12.5, color: colours.ink },
  };
}

function parts(metric) {
  const unit = metric.unit ? `, ${metric.unit}` : "";
  const label = metric.quality ? "proxy, " : "";
  const better = metric.direction === "minimize" ? "lower" : "higher";
  return [`${metric.label}${unit}`, `(${label}${better} is better)`];
}
