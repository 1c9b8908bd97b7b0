// The parts of a form: a label, a control, a hint, and below it the server's own words about what is wrong.

import { copyButton } from "./copy_button.js";
import { h, show } from "./dom.js";

let numbered = 0;

/** A control with its label. `path` is the field of the document that it stands for. */
export function field(path, label, control, { hint = null, unit = null } = {}) {
  numbered += 1;
  const id = `field-${numbered}`;
  control.id = id;
  const problem = h("div", { class: "field-problem", id: `${id}-problem` });
  const said = h("div", { class: "field-hint", id: `${id}-hint` }, hint);
  control.setAttribute("aria-describedby", `${id}-problem ${id}-hint`);
  const element = h(
    "div",
    { class: "field", "data-path": path },
    h("label", { for: id }, label),
    unit ? h("span", { class: "field-unit" }, control, h("span", {}, unit)) : control,
    said,
    problem,
  );
  return { element, control, path, problem, hint: said };
}

/** Says below a field what is wrong with it, or nothing. */
export function showProblems(place, control, errors) {
  const key = JSON.stringify(errors);
  if (place.dataset.shown === key) return; // a reader's place in it is kept
  place.dataset.shown = key;
  control?.setAttribute("aria-invalid", errors.length > 0);
  show(
    place,
    errors.map((error) =>
      h("p", {}, h("span", { class: "problem-allowed" }, "Allowed: ", error.allowed), ...spelled(error.next_step)),
    ),
  );
}

/** A command within the advice is shown as one, so that it can be copied. */
function spelled(advice) {
  const match = /^(.*?: )(nas .*)$/s.exec(advice);
  if (!match) return [h("span", { class: "problem-step" }, capital(advice))];
  return [h("span", { class: "problem-step" }, capital(match[1])), command(match[2])];
}

/** A command that a person is to run, with a button that copies it. */
export function command(text) {
  return h("span", { class: "problem-command" }, h("code", {}, text), copyButton(text, "Copy the command"));
}

export function input(attributes) {
  return h("input", { type: "text", autocomplete: "off", spellcheck: "false", ...attributes });
}

/** `groups` are [label, [[value, text, disabled]]]; an empty label makes no group. */
export function select(groups, value) {
  return choose(h("select", {}), groups, value);
}

/** Gives a select other options. */
export function choose(control, groups, value) {
  const options = (list) => list.map(([name, text, disabled]) => h("option", { value: name, disabled }, text));
  show(
    control,
    groups
      .filter(([, list]) => list.length)
      .map(([label, list]) => (label ? h("optgroup", { label }, options(list)) : options(list))),
  );
  control.value = value; // after the options are there: an option that moves in is chosen by the browser's own rules
  return control;
}

export function capital(text) {
  return text && text[0].toUpperCase() + text.slice(1);
}
