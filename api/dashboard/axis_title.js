// What an axis is called, and which way is better.

import { escaped } from "./front_limits.js";

const NARROW = "(max-width: 480px)";

/** The title of the axis below a chart: in two lines on a phone, where one is often wider than the chart. */
export function titleBelow(metric) {
  return parts(metric).join(matchMedia(NARROW).matches ? "<br>" : "  ");
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
    text: parts(metric).join("  "),
    font: { size: 12.5, color: colours.ink },
  };
}

function parts(metric) {
  const unit = metric.unit ? `, ${metric.unit}` : "";
  const label = metric.quality ? "proxy, " : "";
  const better = metric.direction === "minimize" ? "lower" : "higher";
  return [`${metric.label}${unit}`, `(${label}${better} is better)`].map(escaped);
}
