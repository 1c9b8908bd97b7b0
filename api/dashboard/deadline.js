// The limit on what is paid, moved by hand: it names the best trial within, the knee, and what going further buys. Which
// trial that is, under every limit, is the server's answer; here it is looked up.

import { h, setText, show } from "./dom.js";
import { significant } from "./format.js";

const FINENESS = 500; // a limit that is dragged has so many places on the axis

/** Returns the pick under a limit, null: under none, of an answer of /front/picks; undefined where nothing is within. */
export function pickUnder(answer, limit) {
  const within = limit === null ? answer.picks : answer.picks.filter((pick) => pick.cost <= limit);
  return within.at(-1);
}

/** What a limit on that cost is called. */
export function nameOfLimit(cost) {
  return cost.name.startsWith("latency_") ? "Deadline" : "Limit";
}

export class Deadline {
  element = h("div", { class: "deadline", role: "group", hidden: true });
  #title = h("span", {});
  #unit = h("span", { class: "deadline-unit" });
  #words = h("dl", { class: "deadline-words" });
  #key = null;
  #view = null;
  #limit = null;

  /**
   * `moved(limit)` is told of every step while a person drags, `chosen(limit)` of where it ends, null for none;
   * `picked(number)` of a trial to look at.
   */
  constructor({ moved, chosen, picked }) {
    this.moved = moved;
    this.chosen = chosen;
    this.picked = picked;
    this.number = h("input", {
      type: "text",
      inputmode: "decimal",
      class: "deadline-number",
      placeholder: "none",
      autocomplete: "off",
      change: () => this.#typed(),
    });
    this.slider = h("input", {
      type: "range",
      class: "deadline-slider",
      step: "any",
      input: () => this.#drag(),
      change: () => this.chosen(this.#limit),
    });
    this.clear = h("button", { type: "button", class: "quiet", click: () => this.chosen(null) }, "Clear");
    show(
      this.element,
      h(
        "div",
        { class: "deadline-head" },
        h(
          "div",
          { class: "deadline-field" },
          h("label", {}, this.#title, h("span", {}, this.number, this.#unit)),
          this.clear,
        ),
        this.#words,
      ),
      this.slider,
    );
  }

  /** Draws {asked, limit, cost, quality (metrics), knee (trial or null)}; hidden without a cost. */
  draw(view) {
    this.element.hidden = !view.cost;
    if (!view.cost) return;
    this.#view = view;
    const name = nameOfLimit(view.cost);
    this.element.setAttribute("aria-label", `${name}: ${view.cost.label}`);
    setText(this.#title, name);
    setText(this.#unit, view.cost.unit);
    this.slider.setAttribute("aria-label", name);
    this.#show(view.limit);
    if (document.activeElement !== this.number) this.#write(view.limit); // else it is being typed, or wrong
  }

  #write(limit) {
    this.number.value = limit === null ? "" : significant(limit, 6);
    this.number.setAttribute("aria-invalid", "false");
  }

  /** Lays the slider under the axis {offset, length, range, log}, so that its thumb is where the limit is; null: free. */
  layOut(axis) {
    if (!this.#view?.cost) return;
    this.axis = axis;
    const [low, high] = axis?.range ?? this.#rangeOfPicks();
    const style = this.slider.style;
    style.marginLeft = axis?.aligned ? `${axis.offset - 8}px` : "";
    style.width = axis?.aligned ? `${axis.length + 16}px` : "";
    this.slider.min = low;
    this.slider.max = high;
    this.#place(this.#limit);
  }

  #rangeOfPicks() {
    const costs = (this.#view.asked?.answer?.picks ?? []).map((pick) => pick.cost);
    const [low, high] = [costs[0] ?? 0, costs.at(-1) ?? 1];
    return [low, high + (high - low) * 0.05 || high * 1.05];
  }

  #place(limit) {
    const scaled = limit === null ? Number(this.slider.max) : this.axis?.log ? Math.log10(limit) : limit;
    if (document.activeElement !== this.slider || Math.abs(scaled - this.slider.value) > this.#step) {
      this.slider.value = scaled;
    }
    this.slider.setAttribute("aria-valuetext", this.#spoken(limit));
  }

  get #step() {
    return (Number(this.slider.max) - Number(this.slider.min)) / FINENESS;
  }

  #drag() {
    const scaled = Number(this.slider.value);
    const limit = scaled >= Number(this.slider.max) ? null : this.#rounded(scaled);
    this.#write(limit);
    this.#show(limit);
    this.moved(limit);
  }

  // No more digits than the eye tells apart on the axis
  #rounded(scaled) {
    const back = (value) => (this.axis?.log ? 10 ** value : value);
    const fineness = 10 ** Math.floor(Math.log10(Math.abs(back(scaled + this.#step) - back(scaled)) || 1));
    return Number((Math.round(back(scaled) / fineness) * fineness).toPrecision(12));
  }

  #typed() {
    const text = this.number.value.replaceAll(",", "").trim();
    const limit = Number(text);
    const wrong = text !== "" && !(Number.isFinite(limit) && limit > 0);
    this.number.setAttribute("aria-invalid", String(wrong));
    if (!wrong) this.chosen(text === "" ? null : limit);
  }

  #show(limit) {
    this.#limit = limit;
    this.clear.hidden = limit === null;
    this.#place(limit);
    const { asked, knee, cost, quality } = this.#view;
    const key = JSON.stringify([limit, asked?.path, asked?.status, asked?.answer, knee?.number, cost.name]);
    if (key === this.#key) return;
    this.#key = key;
    show(this.#words, this.#cells(limit, asked, knee, cost, quality));
  }

  #cells(limit, asked, knee, cost, quality) {
    if (asked?.status === "error") return cell("pick", "Pick", h("span", {}, asked.error.message));
    if (!asked?.answer) return cell("pick", "Pick", h("span", { class: "muted" }, "Asking the server…"));
    const pick = pickUnder(asked.answer, limit);
    const first = asked.answer.picks[0];
    const next = pick ? pick.next : (limit !== null && first && { trial: first.trial, more: first.cost - limit });
    return [
      cell(
        "pick",
        "Pick",
        pick
          ? [this.#trial(pick.trial), figures(pick.quality, pick.cost, quality, cost), this.#doubt(pick, limit, cost)]
          : h("span", {}, first ? `No trial is within ${cost.writeLimit(limit)}.` : "No trial yet."),
        pick &&
          h("button", { type: "button", class: "take-pick", click: () => this.picked(pick.trial) }, "Take the pick"),
      ),
      knee &&
        cell("knee", "Knee", [
          this.#trial(knee.number),
          figures(knee.metrics[quality.name], knee.metrics[cost.name], quality, cost),
        ]),
      cell("next", `The next ${cost.unit || "step"}`, this.#nextWords(next, pick, cost, quality)),
    ];
  }

  #nextWords(next, pick, cost, quality) {
    if (!next) return h("span", {}, pick ? "Nothing: no dearer trial is better." : "–");
    const to = asWritten(pick ? pick.cost + next.more : this.#limit + next.more);
    return [
      h(
        "button",
        {
          type: "button",
          class: "link",
          title: `Raise the limit to trial ${next.trial}`,
          click: () => this.chosen(to),
        },
        `+${cost.write(next.more)}`,
      ),
      h(
        "span",
        {},
        pick
          ? `buys ${significant(next.gain, 3)} ${quality.direction === "maximize" ? "more" : "less"} ` +
              `${quality.label.toLowerCase()}: trial ${next.trial}`
          : `more reaches the first, trial ${next.trial}`,
      ),
      next.within_noise && h("span", { class: "tag", title: "Two seeds of one architecture differ by as much" }, "within noise"),
      next.within_noise === false && pick && h("span", { class: "muted" }, "beyond the noise"),
    ];
  }

  #doubt(pick, limit, cost) {
    if (limit === null || pick.upper === null || pick.upper <= limit) return null;
    return h(
      "span",
      { class: "deadline-doubt", title: "90 % interval of the prediction" },
      `may take ${cost.write(pick.upper)}`,
    );
  }

  #trial(number) {
    return h("button", { type: "button", class: "link", click: () => this.picked(number) }, `Trial ${number}`);
  }

  #spoken(limit) {
    const { asked, cost, quality } = this.#view;
    const where = limit === null ? `no ${nameOfLimit(cost).toLowerCase()}` : cost.writeLimit(limit);
    return asked?.answer ? `${where}: ${spokenPick(pickUnder(asked.answer, limit), quality)}` : where;
  }
}

/** The pick in words, for screen readers. */
export function spokenPick(pick, quality) {
  if (!pick) return "no trial is within it";
  return `the pick is trial ${pick.trial}, ${quality.label.toLowerCase()} ${quality.write(pick.quality)}`;
}

function figures(value, paid, quality, cost) {
  return h("span", { class: "number" }, `${quality.write(value)} at ${cost.write(paid)}`);
}

function cell(name, title, content, action) {
  return h("div", { "data-word": name }, h("dt", {}, title), h("dd", {}, content, action));
}

// A limit with six digits that the trial at `cost` keeps
function asWritten(cost) {
  const rounded = Number(cost.toPrecision(6));
  return rounded >= cost ? rounded : Number((cost * (1 + 5e-6)).toPrecision(6));
}
