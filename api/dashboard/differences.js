// What jobs do not share, and which of their numbers therefore mean something else.

import { h } from "./dom.js";

/** Returns the list, or a line that says that there is none. `names` are those of the jobs. */
export function differencesOf(differences, names) {
  if (!differences.length)
    return h("p", { class: "field-hint" }, "The jobs were asked for the same in every respect.");
  const apart = [...new Set(differences.flatMap((one) => one.not_comparable))];
  const because = differences.filter((one) => one.not_comparable.length).map((one) => one.field.toLowerCase());
  return h(
    "section",
    { class: "differences" },
    apart.length > 0 &&
      h(
        "p",
        { class: "not-comparable", role: "note" },
        h("strong", {}, `The ${listed(apart)} of these jobs are not comparable`),
        `: they differ in ${listed(because)}.`,
      ),
    h(
      "div",
      { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Differences" },
      h(
        "table",
        { class: "plain" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Differs", ...names].map((text) => h("th", { scope: "col" }, text)),
          ),
        ),
        h(
          "tbody",
          {},
          differences.map((one) =>
            h(
              "tr",
              { "data-field": one.field, class: one.not_comparable.length ? "is-apart" : null },
              h("th", { scope: "row" }, one.field),
              one.values.map((value) => h("td", {}, value)),
            ),
          ),
        ),
      ),
    ),
  );
}

function listed(words) {
  return words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : words[0];
}
