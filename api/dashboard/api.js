// Speaking to the server: JSON in, JSON out, and every failure as one ApiError that says what happened.

const TIMEOUT_MS = 30_000;

/** What went wrong, for a person: `message`, what to do about it in `advice`, and `status` (0 without an answer). */
export class ApiError extends Error {
  constructor(message, { status = 0, advice = [] } = {}) {
    super(message);
    this.status = status;
    this.advice = advice;
  }
}

export function get(path) {
  return ask(path, {});
}

export function post(path) {
  return ask(path, { method: "POST" });
}

export function jobPath(id) {
  return `/v1/jobs/${encodeURIComponent(id)}`;
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, {
      ...options,
      headers: { Accept: "application/json" },
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
  if (!response.ok) throw await problemOf(response);
  return response.json();
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
    advice: fields.map((e) => `${e.field}: got ${e.value}; allowed: ${e.allowed}; ${e.next_step}`),
  });
}
