// Speaking to the server: JSON in, JSON out, and every failure as one ApiError that says what happened.

const TIMEOUT_MS = 30_000;
const SESSION = "/v1/session";

/** What went wrong, for a person: `message`, what to do about it in `advice`, `status` (0 without an
 * answer), and the wrong `fields` of what was sent, as the server names them. */
export class ApiError extends Error {
  constructor(message, { status = 0, advice = [], fields = [] } = {}) {
    super(message);
    this.status = status;
    this.advice = advice;
    this.fields = fields;
  }
}

export async function get(path) {
  return (await ask(path, {})).json();
}

/** `body`, if given, is sent as JSON. */
export async function post(path, body, headers = {}) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  return (await ask(path, { method: "POST", headers, ...sent })).json();
}

export async function remove(path) {
  await ask(path, { method: "DELETE" });
}

/** Returns [answer, event]: `event` is the number of the job's newest event that the answer knows of, or null. */
export async function getWithEvent(path) {
  const response = await ask(path, {});
  return [await response.json(), /-(\d+)"$/.exec(response.headers.get("ETag") ?? "")?.[1] ?? null];
}

export function jobPath(id) {
  return `/v1/jobs/${encodeURIComponent(id)}`;
}

/** The server's answer itself; rejects with ApiError for one that is a problem, and where there is none. */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      ...options,
      headers: {
        Accept: "application/json",
        ...(options.body && { "Content-Type": "application/json" }),
        ...options.headers,
      },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    if (error.name === "TimeoutError") {
      throw new ApiError(`The server did not answer within ${TIMEOUT_MS / 1000} s.`, {
        advice: ["It may be busy: try again in a moment."],
      });
    }
    throw new ApiError("The server can't be reached.", {
      advice: [`Check that it runs at ${location.origin} (nas serve), then try again.`],
    });
  }
  if (response.status === 401 && path !== SESSION) document.dispatchEvent(new Event("signed-out"));
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // Not ours, perhaps a proxy's page: the status says all there is
  }
  const fields = Array.isArray(problem.errors) ? problem.errors : [];
  return new ApiError(problem.detail || problem.title || `The server answered with status ${response.status}.`, {
    status: response.status,
    fields,
    advice: fields.map((e) => `${e.field}: got ${e.value}; allowed: ${e.allowed}; ${e.next_step}`),
  });
}
