// The start of every page: the address says which one. The server preloads the same module (api/routes/dashboard.py).

import { show } from "./dom.js";
import { failure } from "./notices.js";
import { askForKey, showWhoIsSignedIn } from "./sign_in.js";

const content = document.getElementById("content");
const job = /^\/jobs\/([^/]+)\/?$/.exec(location.pathname);
const device = /^\/devices\/([^/]+)\/?$/.exec(location.pathname);

document.addEventListener("signed-out", askForKey);
showWhoIsSignedIn();

open().catch((error) => {
  show(content, failure({ message: "The server did not send this page as a whole." }, () => location.reload()));
  throw error;
});

async function open() {
  if (job) {
    (await import("./job_page.js")).jobPage(content, decoded(job[1]));
  } else if (device || location.pathname === "/devices") {
    document.getElementById("nav-devices").setAttribute("aria-current", "page");
    if (device) (await import("./device_page.js")).devicePage(content, decoded(device[1]));
    else (await import("./devices_page.js")).devicesPage(content);
  } else if (location.pathname === "/compare") {
    document.getElementById("nav-jobs").setAttribute("aria-current", "page");
    (await import("./compare_page.js")).comparePage(content);
  } else if (location.pathname === "/new") {
    document.querySelector(".new-job-link").hidden = true;
    (await import("./new_job_page.js")).newJobPage(content);
  } else {
    document.getElementById("nav-jobs").setAttribute("aria-current", "page");
    (await import("./jobs_page.js")).jobsPage(content);
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray % in an address that somebody typed
  }
}
