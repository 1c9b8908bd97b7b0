// The button that has a trial's bundle made, tells how far it is, and saves it.

import { ask } from "./api.js";
import { h } from "./dom.js";
import { announce, notice } from "./notices.js";

const STEPS = {
  waiting: "waiting for other bundles",
  reading: "reading the trial",
  programs: "exporting and checking programs",
  scoring: "scoring the programs",
  writing: "writing texts with the programs",
};
/** Bundles that are being made, by address: the page is drawn anew while they are. */
const making = new Map();

export function bundleButton(trial) {
  const button = h("button", { type: "button", class: "button", click: () => make(trial) }, "Bundle");
  button.dataset.bundle = trial.links.bundle;
  button.title = "Programs for ONNX Runtime and ExecuTorch in fp32 and int8, weights, vocabulary, and what was checked";
  show(button, making.get(trial.links.bundle));
  return button;
}

async function make(trial) {
  const address = trial.links.bundle;
  if (making.has(address)) return;
  tell(address, "Bundle: beginning…");
  notice("bundle", null);
  announce("The bundle is being made.");
  try {
    let response = await ask(address);
    while (response.status === 202) {
      const { what, done, total } = await response.json();
      const count = total > 1 ? ` ${done}/${total}` : "";
      tell(address, `Bundle: ${STEPS[what] ?? what}${count}…`);
      await new Promise((resolve) => setTimeout(resolve, 1000 * Number(response.headers.get("Retry-After") ?? 1)));
      response = await ask(address);
    }
    await save(response, `${trial.architecture_id}.zip`);
    announce("The bundle is saved.");
  } catch (error) {
    notice("bundle", `There is no bundle of trial ${trial.number}: ${error.message}`, {
      label: "Try again",
      run: () => make(trial),
    });
  }
  tell(address, null);
}

async function save(response, name) {
  const url = URL.createObjectURL(await response.blob());
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function tell(address, text) {
  if (text === null) making.delete(address);
  else making.set(address, text);
  for (const button of document.querySelectorAll("[data-bundle]"))
    if (button.dataset.bundle === address) show(button, text ?? undefined);
}

function show(button, text) {
  button.textContent = text ?? "Bundle";
  button.disabled = text !== undefined;
}
