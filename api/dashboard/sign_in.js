// Who is signed in, and the dialog that asks for a key where the service does.

import { get, post, remove } from "./api.js";
import { h, show } from "./dom.js";

let asking = false;

/** Shows who is signed in, with the way out; nothing where nobody has to sign in. */
export async function showWhoIsSignedIn() {
  let session;
  try {
    session = await get("/v1/session");
  } catch {
    return; // not signed in, which the dialog says, or no connection, which the page says
  }
  if (session.key_id === null) return;
  const out = h("button", { type: "button", class: "quiet" }, "Sign out");
  out.addEventListener("click", async () => {
    await remove("/v1/session");
    location.reload();
  });
  show(
    document.getElementById("who"),
    h("span", { title: `${session.key_id}, role ${session.role}` }, session.name),
    out,
  );
}

/** Asks for a key, once, whatever was refused; the page is loaded again when it opens the door. */
export function askForKey() {
  if (asking) return;
  asking = true;
  const problem = h("p", { class: "dialog-problem", role: "alert" });
  const field = h("input", { type: "password", id: "api-key", autocomplete: "current-password", required: true });
  const go = h("button", { type: "submit", class: "primary" }, "Sign in");
  const form = h(
    "form",
    {},
    h("p", {}, h("label", { for: "api-key" }, "Your key"), field),
    problem,
    h("p", { class: "buttons" }, go),
  );
  const dialog = h(
    "dialog",
    { "aria-labelledby": "sign-in-title", class: "sign-in" },
    h("h2", { id: "sign-in-title" }, "This service asks for a key"),
    h("p", {}, "An administrator makes one: ", h("code", {}, "nas keys create NAME --role submit")),
    form,
  );
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    problem.textContent = "";
    try {
      await post("/v1/session", { api_key: field.value.trim() });
      location.reload();
    } catch (error) {
      problem.textContent = error.message;
      field.select();
    } finally {
      go.disabled = false;
    }
  });
  dialog.addEventListener("close", () => {
    asking = false; // a browser may close it in spite of all: the next refusal asks again
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  field.focus();
}
