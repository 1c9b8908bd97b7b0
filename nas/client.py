"""A client of the REST API, with the API's own names; problems come back as the exceptions they were.

>>> with Client("http://127.0.0.1:8000") as client:
...     job = client.submit_job(document)
...     for event in client.events(job["id"]):
...         print(event.kind, event.data)
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NoReturn
from urllib.parse import quote, urlsplit

import httpx

from nas.addresses import is_loopback
from nas.documents import refuse_non_finite
from nas.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    MissingEntry,
    NotFound,
    PocketformerError,
    Problem,
    QuotaExceeded,
    TooLarge,
    Unauthenticated,
)

Document = dict[str, Any]
"""Plain JSON values, in the shapes that /docs of the service describes."""

FINAL_STATES = frozenset({"succeeded", "failed", "cancelled"})
"""The states of a job that nothing follows."""

PREPARING_S = 3600.0
"""Longest wait for a job on a file of one's own: the server reads all of it before it answers."""
TIMEOUT_S = 60.0
"""Longest silence in an answer; an event stream says something every 15 s."""


class ServerUnreachable(PocketformerError):
    """No server answers at that address."""


class ServerFailed(PocketformerError):
    """The server could not do what was asked."""

    def __init__(self, message: str | None = None, status: int | None = None) -> None:
        """`status` is that of its answer, where there was one."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Event:
    """One server-sent event of a job."""

    sequence: int
    """Grows within a server; give it back as `after` to hear only what followed."""
    kind: str
    """`job`, whose data is the job, or `trial`, whose data is the trial and what it changed."""
    data: Document


class Client:
    """Speaks to one server. Safe to use from several threads; close it, or use it in a `with`.

    Every method raises `ServerUnreachable` when nothing answers, and what the server's problem document says:
    `InvalidInput` (its fields included), `TooLarge`, `NotFound`, `Conflict`, `MissingEntry`, `Unauthenticated`,
    `Forbidden`, `QuotaExceeded`, else `ServerFailed`.
    """

    def __init__(self, url: str, *, api_key: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        """`api_key` is sent with every request; a server on one's own machine asks for none."""
        host = _host_of(url)
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(timeout_s, connect=10.0),
            follow_redirects=True,
            trust_env=not is_loopback(host),  # a proxy has no way to this machine's own addresses
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # The server ----------------------------------------------------------------------------------------------

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return once the server says that it is ready; raise `ServerUnreachable` after `timeout_s`."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                if self._http.get("/readyz").is_success:
                    return
                reason = "it answers, but is not ready"
            except httpx.TransportError as error:
                reason = str(error)
            if time.monotonic() >= end:
                raise ServerUnreachable(f"{self.url} was not ready within {timeout_s:g} s: {reason}")
            time.sleep(0.1)

    # Search spaces, devices, datasets ------------------------------------------------------------------------

    def search_spaces(self) -> list[Document]:
        """Return every search space, bundled and added."""
        return list(self._get("/v1/search-spaces")["search_spaces"])

    def search_space(self, name: str) -> Document:
        """Return one search space with its size, bounds and document."""
        return self._get(f"/v1/search-spaces/{_segment(name)}")

    def add_search_space(self, document: Mapping[str, Any]) -> Document:
        """Add a search space; raise `Conflict` if its name stands for another one."""
        return self._post("/v1/search-spaces", document)

    def devices(self) -> list[Document]:
        """Return every device with the summaries of its latency tables."""
        return list(self._get("/v1/devices")["devices"])

    def device(self, name: str) -> Document:
        """Return one device with the summaries of its latency tables."""
        return self._get(f"/v1/devices/{_segment(name)}")

    def add_device(self, document: Mapping[str, Any]) -> Document:
        """Add a device, or state anew what it is."""
        return self._post("/v1/devices", document)

    def latency_tables(self, device: str) -> list[Document]:
        """Return the summaries of a device's latency tables."""
        return list(self._get(f"/v1/devices/{_segment(device)}/latency-tables")["latency_tables"])

    def latency_table(self, device: str, version: int) -> Document:
        """Return one whole latency table."""
        return self._get(f"/v1/devices/{_segment(device)}/latency-tables/{version}")

    def latency_table_report(self, device: str, version: int) -> Document:
        """Return how far a latency table can be trusted, model by model, and which search spaces it covers."""
        return self._get(f"/v1/devices/{_segment(device)}/latency-tables/{version}/report")

    def add_latency_table(self, device: str, document: Mapping[str, Any]) -> Document:
        """Add a latency table as the device's next version; return its summary."""
        return self._post(f"/v1/devices/{_segment(device)}/latency-tables", document)

    def datasets(self) -> list[Document]:
        """Return every dataset that a job can name."""
        return list(self._get("/v1/datasets")["datasets"])

    def dataset(self, name: str) -> Document:
        """Return one dataset, or one file that was brought."""
        return self._get(f"/v1/datasets/{_segment(name)}")

    def files(self) -> list[Document]:
        """Return every file that was brought."""
        return list(self._get("/v1/datasets")["files"])

    def file(self, name: str) -> Document:
        """Return one file that was brought, with its columns and first rows; raise `NotFound`."""
        found = self.dataset(name)
        if "size_bytes" not in found:
            raise NotFound(f"{name!r} is a bundled dataset, no file.")
        return found

    def add_file(self, name: str, pieces: Iterable[bytes], size_bytes: int | None = None) -> Document:
        """Bring a file in pieces of any size; raise `Conflict` if its name stands for another content.

        With `size_bytes` a file that is too large is refused before it is sent.
        """
        headers = {"Content-Type": "application/octet-stream"}
        if size_bytes is not None:
            headers["Content-Length"] = str(size_bytes)
        return _document(self._request("POST", "/v1/datasets", {"name": name}, content=pieces, headers=headers))

    def score(
        self, architecture: Mapping[str, Any], workload: Mapping[str, Any], devices: Sequence[str] = ()
    ) -> Document:
        """Return the costs of one architecture and its predicted latency on the devices."""
        body = {"architecture": architecture, "workload": workload, "devices": list(devices)}
        return self._post("/v1/score", body)

    # Jobs ----------------------------------------------------------------------------------------------------

    def submit_job(self, document: Mapping[str, Any], idempotency_key: str | None = None) -> Document:
        """Submit a job; the same key with the same document gives the first job again.

        The answer to a job on a large file of one's own takes as long as the server needs to prepare it.
        """
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        own = isinstance(document.get("task"), Mapping) and isinstance(document["task"].get("dataset"), Mapping)
        return self._post("/v1/jobs", document, headers, PREPARING_S if own else None)

    def check_job(self, document: Mapping[str, Any]) -> Document:
        """Return what is wrong with a document, finished or not, and what each metric can reach; submit nothing."""
        return self._post("/v1/check", document)

    def samplers(self) -> list[Document]:
        """Return every sampler that a job can name, with a line about each."""
        return list(self._get("/v1/samplers")["samplers"])

    def jobs(self, limit: int | None = None) -> Iterator[Document]:
        """Yield jobs, newest first, page by page; at most `limit`."""
        cursor, count = None, 0
        while True:
            page = self._get("/v1/jobs", cursor=cursor, limit=min(100, limit - count) if limit else None)
            for job in page["jobs"]:
                yield job
                count += 1
            cursor = page["next_cursor"]
            if cursor is None or (limit is not None and count >= limit):
                return

    def job(self, job_id: str) -> Document:
        """Return one job with its progress."""
        return self._get(f"/v1/jobs/{_segment(job_id)}")

    def set_priority(self, job_id: str, priority: int) -> Document:
        """Have a job taken before those of a lower priority; raise `Conflict` if it has ended."""
        body = {"priority": priority}
        return self._send("PATCH", f"/v1/jobs/{_segment(job_id)}", body)

    def pause_job(self, job_id: str) -> Document:
        """Ask for a job to be paused; raise `Conflict` if it has ended already."""
        return self._post(f"/v1/jobs/{_segment(job_id)}/pause", None)

    def resume_job(self, job_id: str) -> Document:
        """Have a paused job go on; raise `Conflict` if it has ended."""
        return self._post(f"/v1/jobs/{_segment(job_id)}/resume", None)

    def retry_job(self, job_id: str) -> Document:
        """Have the search of a job that failed or was cancelled go on; raise `Conflict` for another one."""
        return self._post(f"/v1/jobs/{_segment(job_id)}/retry", None)

    def delete_job(self, job_id: str) -> None:
        """Delete a job and all that belongs to it; raise `Conflict` if it waits or runs."""
        self._request("DELETE", f"/v1/jobs/{_segment(job_id)}")

    def cancel_job(self, job_id: str) -> Document:
        """Ask a job to stop; raise `Conflict` if it has ended already."""
        return self._post(f"/v1/jobs/{_segment(job_id)}/cancel", None)

    def finish_job(self, job_id: str, document: Mapping[str, Any] | None = None) -> Document:
        """Have a job's front and a sample trained in full; raise `Conflict` if it has not ended."""
        return self._post(f"/v1/jobs/{_segment(job_id)}/finish", document or {})

    def fidelity(self, job_id: str) -> Document:
        """Return how far the scores of a job can be trusted."""
        return self._get(f"/v1/jobs/{_segment(job_id)}/fidelity")

    def front(
        self, job_id: str, objectives: Sequence[str] | None = None, constraints: Sequence[str] | None = None
    ) -> Document:
        """Return the job's front under its own objectives and limits, or under the given ones."""
        joined = ",".join(objectives) if objectives else None
        return self._get(f"/v1/jobs/{_segment(job_id)}/front", objectives=joined, constraint=constraints)

    def reading(
        self, job_id: str, objectives: Sequence[str] | None = None, constraints: Sequence[str] | None = None
    ) -> Document:
        """Return who is really on that front, what more of a cost buys, and what to measure next."""
        joined = ",".join(objectives) if objectives else None
        return self._get(f"/v1/jobs/{_segment(job_id)}/front/reading", objectives=joined, constraint=constraints)

    def picks(
        self,
        job_id: str,
        cost: str | None = None,
        quality: str | None = None,
        constraints: Sequence[str] | None = None,
    ) -> Document:
        """Return the best trial under every limit on a cost, and what the next step beyond each buys."""
        path = f"/v1/jobs/{_segment(job_id)}/front/picks"
        return self._get(path, cost=cost, quality=quality, constraint=constraints)

    def hypervolume(self, job_id: str) -> Document:
        """Return how the hypervolume of a job has grown, trial by trial."""
        return self._get(f"/v1/jobs/{_segment(job_id)}/hypervolume")

    def importance(self, job_id: str) -> Document:
        """Return how much each choice of the space matters to each objective of the job."""
        return self._get(f"/v1/jobs/{_segment(job_id)}/importance")

    def compare_jobs(self, job_ids: Sequence[str], objectives: Sequence[str] | None = None) -> Document:
        """Return the fronts of jobs under common objectives, and what keeps their numbers from being compared."""
        joined = ",".join(objectives) if objectives else None
        return self._get("/v1/compare/jobs", job=list(job_ids), objectives=joined)

    def compare_trials(self, first: tuple[str, int], second: tuple[str, int]) -> Document:
        """Return two architectures side by side, each given as (job id, trial number)."""
        return self._get("/v1/compare/trials", trial=[f"{job}:{number}" for job, number in (first, second)])

    def trials(self, job_id: str, state: str | None = None) -> Iterator[Document]:
        """Yield the trials of a job by number, page by page."""
        after: int | None = None
        while True:
            page = self._get(f"/v1/jobs/{_segment(job_id)}/trials", after=after, state=state)
            yield from page["trials"]
            after = page["next_after"]
            if after is None:
                return

    def columns(self, job_id: str, metrics: Sequence[str] = (), *, features: bool = False) -> Document:
        """Return all trials of a job at once, as columns, with these metrics and what was chosen in each."""
        asked = {"metrics": ",".join(metrics) or None, "features": "true" if features else None}
        return self._get(f"/v1/jobs/{_segment(job_id)}/trials/columns", **asked)

    def job_devices(self, job_id: str) -> list[Document]:
        """Return the devices that a job's trials can be ranked for, and why others can't."""
        devices: list[Document] = self._get(f"/v1/jobs/{_segment(job_id)}/devices")["devices"]
        return devices

    def trial(self, job_id: str, number: int) -> Document:
        """Return one trial with its training history."""
        return self._get(f"/v1/jobs/{_segment(job_id)}/trials/{number}")

    def config(
        self, job_id: str, number: int, form: Literal["yaml", "json"] = "yaml", devices: Sequence[str] = ()
    ) -> str:
        """Return the configuration file of a trial, from which its model is rebuilt; with the promise for `devices`."""
        query = {"format": form} | ({"device": list(devices)} if devices else {})
        return self._request("GET", f"/v1/jobs/{_segment(job_id)}/trials/{number}/config", query).text

    def weights(self, job_id: str, number: int) -> bytes:
        """Return a trial's trained weights as a safetensors file."""
        return self._request("GET", f"/v1/jobs/{_segment(job_id)}/trials/{number}/weights").content

    def bundle(self, job_id: str, number: int, progress: Callable[[str, int, int], None] | None = None) -> bytes:
        """Return everything that deploys a trial's model, as a zip; the first who asks waits a minute for it.

        `progress` is called with (what is done now, done, total).
        """
        path = f"/v1/jobs/{_segment(job_id)}/trials/{number}/bundle"
        while True:
            response = self._request("GET", path)
            if response.status_code != httpx.codes.ACCEPTED:
                return response.content
            if progress is not None:
                told = response.json()
                progress(told["what"], told["done"], told["total"])
            time.sleep(float(response.headers.get("Retry-After", 1)))

    def events(self, job_id: str, after: int | None = None, patience_s: float = 30.0) -> Iterator[Event]:
        """Yield the events of a job as they happen, from the first (or the one after `after`) to the last.

        A broken connection is taken up again where it ended. Raises `ServerUnreachable` once the server has not
        answered for `patience_s`.
        """
        heard = time.monotonic()
        while True:
            try:
                for event in self._stream(job_id, after):
                    heard, after = time.monotonic(), event.sequence
                    yield event
                    if event.kind == "job" and event.data["state"] in FINAL_STATES:
                        return
                    heard = time.monotonic()  # however long the caller took
                if self.job(job_id)["state"] in FINAL_STATES:
                    return  # it had ended before `after`
            except (httpx.TransportError, ServerUnreachable) as error:
                if time.monotonic() - heard > patience_s:
                    reason = f"the events of {job_id} from {self.url} broke off: {error}"
                    raise ServerUnreachable(reason) from error
            time.sleep(0.5)

    def _stream(self, job_id: str, after: int | None) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        with self._http.stream("GET", f"/v1/jobs/{_segment(job_id)}/events", headers=headers) as response:
            if not response.is_success:
                response.read()
                _raise_problem(response)
            yield from parse_events(response.iter_bytes())

    # Keys ----------------------------------------------------------------------------------------------------

    def session(self) -> Document:
        """Return who the server takes us for."""
        return self._get("/v1/session")

    def api_keys(self) -> list[Document]:
        """Return every key, without secrets; for administrators, as all of these."""
        return list(self._get("/v1/keys")["keys"])

    def create_key(self, document: Mapping[str, Any]) -> Document:
        """Make a key; its `secret` is in the answer and nowhere else."""
        return self._post("/v1/keys", document)

    def revoke_key(self, key_id: str) -> Document:
        """Let a key open nothing any more; raise `Conflict` for the last one of an administrator."""
        return _document(self._request("DELETE", f"/v1/keys/{_segment(key_id)}"))

    def audit(self, before: int | None = None, limit: int = 100) -> Document:
        """Return who did what, newest first: `entries`, and `next_before` for the next page."""
        return self._get("/v1/audit", before=before, limit=limit)

    # Requests ------------------------------------------------------------------------------------------------

    def _get(self, path: str, **query: Any) -> Document:
        given = {name: value for name, value in query.items() if value is not None}
        return _document(self._request("GET", path, given))

    def _post(
        self,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None = None,
        patience_s: float | None = None,
    ) -> Document:
        return self._send("POST", path, body, headers, patience_s)

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None = None,
        patience_s: float | None = None,
    ) -> Document:
        refuse_non_finite(body)
        content = None if body is None else json.dumps(body).encode()
        extra = {"Content-Type": "application/json"} if content is not None else {}
        given = {**extra, **(headers or {})}
        return _document(self._request(method, path, content=content, headers=given, patience_s=patience_s))

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        content: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        patience_s: float | None = None,
    ) -> httpx.Response:
        timeout = self._http.timeout if patience_s is None else httpx.Timeout(patience_s, connect=10.0)
        try:
            response = self._http.request(method, path, params=query, content=content, headers=headers, timeout=timeout)
        except httpx.TransportError as error:
            raise ServerUnreachable(
                f"no answer from {self.url} ({error or type(error).__name__}): is `nas serve` running there? "
                "--url or POCKETFORMER_URL names another address"
            ) from error
        if not response.is_success:
            _raise_problem(response)
        return response


def parse_events(chunks: Iterator[bytes]) -> Iterator[Event]:
    """Yield the events of a stream of server-sent events, given as bytes cut anywhere.

    Lines end at line feeds alone: text inside the data may hold Unicode's other line ends.
    """
    rest = b""
    fields: dict[str, str] = {}
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for raw in lines:
            line = raw.removesuffix(b"\r").decode("utf-8")
            name, _, value = line.partition(":")
            if name:  # a line that opens with a colon is a comment: the server is still there
                value = value.removeprefix(" ")
                fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value
            elif not line:
                if fields.get("event") in ("job", "trial"):
                    yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
                fields = {}


class _Shown(str):
    """A value as the server has shown it already: quoted, shortened, so not to be quoted again."""

    def __repr__(self) -> str:
        return str(self)


def _host_of(url: str) -> str:
    """Return the host of a server's address; raise `InvalidInput` for what is none."""
    host: str | None = None
    with contextlib.suppress(ValueError, httpx.InvalidURL):  # a bracket left open, a port that is no number
        parts = urlsplit(url)
        _ = parts.port, httpx.URL(url)
        host = parts.hostname if parts.scheme in ("http", "https") else None
    if not host:
        raise InvalidInput.of(
            "url", url, "http://HOST:PORT or https://HOST:PORT", "give the address that `nas serve` prints"
        )
    return host


def _segment(value: str) -> str:
    return quote(value, safe="")


def _document(response: httpx.Response) -> Document:
    try:
        value = response.json()
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ServerFailed(f"{response.url} did not answer with a JSON object: is this a Pocketformer server?")
    return value


def _raise_problem(response: httpx.Response) -> NoReturn:
    """Raise the exception behind a problem document (RFC 9457), or `ServerFailed` for any other failure."""
    problem: Document = {}
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        problem = _document(response)
    detail = problem.get("detail") or f"{response.request.url} answered {response.status_code}"
    errors = problem.get("errors", [])
    problems = [Problem(e["field"], _Shown(e["value"]), e["allowed"], e["next_step"]) for e in errors]
    match response.status_code:
        case 401:
            raise Unauthenticated(detail)
        case 403:
            raise Forbidden(detail)
        case 429:
            raise QuotaExceeded(detail)
        case 404:
            raise NotFound(detail)
        case 409:
            raise Conflict(detail)
        case 413 if problems:
            raise TooLarge(problems)
        case 422 if str(problem.get("type")).endswith(":missing-entry"):
            raise MissingEntry(detail)
        case 415 | 422 if problems:
            raise InvalidInput(problems)
    raise ServerFailed(detail, response.status_code)
