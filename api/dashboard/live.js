// One job's news as server-sent events. After a broken connection the stream goes on where it stopped.

const RETRY_MS = 3_000;

/**
 * Follows a job until `stop()`, from the event after `since` (null: from its first). Handlers: `job(summary)`,
 * `trial(news)`, `connection("open" | "lost")`, and `refused()` when the server would not give the stream.
 */
export function follow(path, since, handlers) {
  let source = null;
  let timer = null;
  let last = since;
  let stopped = false;

  // A browser has about six connections to a server: a window that nobody sees gives its own back
  const onVisibility = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", onVisibility);
  if (!document.hidden) open();

  return {
    stop() {
      stopped = true;
      document.removeEventListener("visibilitychange", onVisibility);
      close();
    },
  };

  function open() {
    if (stopped || source) return;
    source = new EventSource(last === null ? path : `${path}?last_event_id=${last}`);
    source.addEventListener("open", () => handlers.connection("open"));
    for (const kind of ["job", "trial"]) {
      source.addEventListener(kind, (event) => {
        last = event.lastEventId || last;
        handlers[kind](JSON.parse(event.data));
      });
    }
    source.addEventListener("error", () => {
      if (stopped) return;
      handlers.connection("lost");
      if (source?.readyState !== EventSource.CLOSED) return; // it tries again by itself, with Last-Event-ID
      close();
      timer = setTimeout(open, RETRY_MS);
      handlers.refused();
    });
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }
}
