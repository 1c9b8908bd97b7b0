// What the marks on the chart mean, and how many there are of each.

import { h, show } from "./dom.js";

/** Draws into the list `element` what is on the chart: {points, knee, hasPick, hasLimits, hasInterval}. */
export function drawKey(element, { points, knee, hasPick, hasLimits, hasInterval }) {
  const rows = [
    ["front", `front (${points.front.length})`],
    ["dominated", `dominated (${points.dominated.length})`],
    points.stopped.length && ["stopped", `stopped early (${points.stopped.length})`],
    points.infeasible.length && ["infeasible", `over a limit (${points.infeasible.length})`],
    hasInterval && points.front.length && ["interval", "90 % interval"],
    knee !== null && points.front.length && ["knee", "knee"],
    hasPick && ["pick", "pick"],
    hasLimits && ["limit", "beyond a limit"],
  ].filter(Boolean);
  const key = JSON.stringify(rows);
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  show(
    element,
    rows.map(([name, text]) =>
      h("li", {}, h("span", { class: `mark mark-${name}`, "aria-hidden": "true" }), text),
    ),
  );
}
