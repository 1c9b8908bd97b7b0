// What the marks on the chart mean, and how many there are of each.

import { h, show } from "./dom.js";

/** Draws into the list `element` what is on the chart: {points, knee, beside (a device), hasPick, hasLimits, hasInterval}. */
export function drawKey(element, { points, knee, beside, hasPick, hasLimits, hasInterval }) {
  const rows = [
    ["front", `front (${points.front.numbers.length})`],
    points.beside.numbers.length && ["beside", `front on ${beside} (${points.beside.numbers.length})`],
    ["dominated", `dominated (${points.dominated.numbers.length})`],
    points.stopped.numbers.length && ["stopped", `stopped early (${points.stopped.numbers.length})`],
    points.infeasible.numbers.length && ["infeasible", `over a limit (${points.infeasible.numbers.length})`],
    points.dimmed.numbers.length && ["dimmed", `not selected (${points.dimmed.numbers.length})`],
    hasInterval && points.front.numbers.length && ["interval", "90 % interval"],
    knee !== null && points.front.numbers.length && ["knee", "knee"],
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
