// Doing something often asked for, seldom.

/**
 * Returns a function that runs `action` at once when it has rested for `ms`, else once at the end of the rest. Its
 * `now()` waits for nothing.
 */
export function throttled(action, ms) {
  let timer = null;
  let again = false;
  const run = () => {
    again = false;
    timer = setTimeout(() => {
      timer = null;
      if (again) run();
    }, ms);
    action();
  };
  const ask = () => {
    if (timer === null) run();
    else again = true;
  };
  const now = () => {
    clearTimeout(timer);
    run();
  };
  return Object.assign(ask, { now });
}
