// One job's news as server-sent events. The browser resumes the stream by itself with Last-Event-ID.

const RETRY_MS = 3_000;

/**
 * Follows a job until `stop()`. Handlers: `job(summary)`, `trial(news)`, `connection("open" | "lost")`, and
 * `resumed()` when the stream is new after a pause, so that something may have been missed.
 */
export function follow(path, handlers) {
  let source = null;
  let timer = null;
  let opened = false;
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
    source = new EventSource(path);
    source.addEventListener("open", () => {
      handlers.connection("open");
      if (opened) handlers.resumed();
      opened = true;
    });
    source.addEventListener("job", (event) => handlers.job(JSON.parse(event.data)));
    source.addEventListener("trial", (event) => handlers.trial(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      if (stopped) return;
      handlers.connection("lost");
      if (source?.readyState !== EventSource.CLOSED) return; // it tries again by itself
      close();
      timer = setTimeout(open, RETRY_MS);
    });
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }
}
