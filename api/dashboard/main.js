// The start of every page: the address says which one.

import { comparePage } from "./compare_page.js";
import { devicePage } from "./device_page.js";
import { devicesPage } from "./devices_page.js";
import { jobPage } from "./job_page.js";
import { jobsPage } from "./jobs_page.js";
import { newJobPage } from "./new_job_page.js";
import { askForKey, showWhoIsSignedIn } from "./sign_in.js";

const content = document.getElementById("content");
const job = /^\/jobs\/([^/]+)\/?$/.exec(location.pathname);
const device = /^\/devices\/([^/]+)\/?$/.exec(location.pathname);

document.addEventListener("signed-out", askForKey);
showWhoIsSignedIn();

if (job) {
  jobPage(content, decoded(job[1]));
} else if (device || location.pathname === "/devices") {
  document.getElementById("nav-devices").setAttribute("aria-current", "page");
  if (device) devicePage(content, decoded(device[1]));
  else devicesPage(content);
} else if (location.pathname === "/compare") {
  document.getElementById("nav-jobs").setAttribute("aria-current", "page");
  comparePage(content);
} else if (location.pathname === "/new") {
  document.querySelector(".new-job-link").hidden = true;
  newJobPage(content);
} else {
  document.getElementById("nav-jobs").setAttribute("aria-current", "page");
  jobsPage(content);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray % in an address that somebody typed
  }
}
