"""A Dask cluster by its scheduler's address: connected to, checked, and come back to when its scheduler was lost."""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from nas.cache import cache_directory
from nas.errors import ClusterUnavailable, InvalidInput, MissingPackage, PocketformerError

try:
    from distributed import Client, KilledWorker, Security
    from distributed import Future as DaskFuture
except ImportError as error:
    raise MissingPackage("a Dask cluster needs another package: pip install 'pocketformer[distributed]'") from error

from nas.jobs.dask.executor import Call, DaskExecutor
from nas.jobs.dask.on_worker import comparable_software, differing, look_around, run_here

log = logging.getLogger(__name__)

CONNECT_S = 5.0
"""How long a scheduler is waited for, and at the start a worker."""
POLL_S = 0.5
"""How often the connection is looked at."""
TOLD_EVERY_S = 60.0
"""How often it is said again that evaluations wait."""
FETCH_S = 120.0
"""How long the result of a call is waited for; then it is run again."""


def resources_of(text: str) -> dict[str, float]:
    """Parse `GPU=1,phone=1`, as `dask worker --resources` has it; raise `InvalidInput`."""
    found: dict[str, float] = {}
    for part in text.replace(",", " ").split():
        name, separator, amount = part.partition("=")
        try:
            found[name] = float(amount)
        except ValueError:
            separator = ""
        if not (name and separator and 0 < found[name] < float("inf")):
            allowed = "NAME=AMOUNT with an amount above 0, several with commas between them"
            raise InvalidInput.of("dask-resources", text, allowed, "write for example GPU=1")
    return found


class DaskCluster:
    """Evaluations on the workers of a Dask cluster, as many at a time as it has threads for them.

    One thread speaks to the scheduler. When the scheduler is lost it connects again, for as long as it takes, and then
    sends anew what had not ended: whose job it is says the lease, not the scheduler.
    """

    def __init__(
        self, address: str, *, resources: Mapping[str, float] | None = None, parallel: int | None = None
    ) -> None:
        """Connect. Every evaluation takes `resources` of its worker; `parallel` is how many run at a time.

        Raises `ClusterUnavailable` where no scheduler answers or no worker is there, `InvalidInput` where no worker has
        the resources, and `PocketformerError` where workers have other releases than this process.
        """
        self.address, self._resources = address, dict(resources or {})
        self._host, self._port = _host_and_port(address)
        if address.startswith("tls:") and Security().get_connection_args("client")["ssl_context"] is None:
            allowed = "tls:// with the certificates of both sides in Dask's settings"
            raise InvalidInput.of("dask", address, allowed, "name them, as docs/operations.md says")
        self._client = self._connected()
        try:
            threads = self._wait_for_threads()
            self._expected = self._check_software(list(threads))
        except BaseException:
            self._client.close()
            raise
        self.parallel = parallel or sum(threads.values())
        self._events: SimpleQueue[tuple[str, Call | None, DaskFuture[Any] | None]] = SimpleQueue()
        self._calls: dict[Call, DaskFuture[Any] | None] = {}
        self._is_lost = False
        self._lost_at = self._told_at = -math.inf
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dask", daemon=True)
        self._thread.start()

    def is_ready(self) -> bool:
        """Return whether the scheduler is there."""
        return not self._is_lost

    def executor(self) -> Executor:
        """Return an executor for one job."""
        return DaskExecutor(self._send)

    def _send(self, call: Call) -> None:
        call.future.add_done_callback(lambda _: self._events.put(("ended", call, None)))
        self._events.put(("submitted", call, None))

    def close(self) -> None:
        """End what runs on the cluster, and the connection."""
        self._closed.set()
        self._events.put(("closed", None, None))
        self._thread.join(CONNECT_S)
        self._client.close(timeout=CONNECT_S)

    def __enter__(self) -> DaskCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # At the start --------------------------------------------------------------------------------------------

    def _connected(self) -> Client:
        try:
            with socket.create_connection((self._host, self._port), CONNECT_S) as probe:
                # Where something listens that never says a word, Dask's client would wait without end
                if self.address.startswith("tcp:") and not probe.recv(1):
                    raise ConnectionError("it closed the connection")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about versions, which are checked below
                return Client(self.address, timeout=CONNECT_S, set_as_default=False, name="pocketformer")
        except OSError as error:  # TimeoutError is one, too
            raise ClusterUnavailable(
                f"no Dask scheduler answers at {self.address}: start one (`dask scheduler`), or check the address "
                f"({error})"
            ) from error

    def _wait_for_threads(self) -> dict[str, int]:
        """Return how many evaluations each worker has threads and resources for; those with none are left out."""
        end = time.monotonic() + CONNECT_S
        while not (threads := self._threads()):
            if time.monotonic() > end:
                if self._workers():
                    allowed = f"what a worker of {self.address} has (they have: {self._offered()})"
                    next_step = "start workers with `dask worker … --resources`"
                    raise InvalidInput.of("dask-resources", _written(self._resources), allowed, next_step)
                raise ClusterUnavailable(
                    f"the Dask cluster at {self.address} has no worker: start some "
                    f"(`dask worker {self.address} --nthreads 1 --nworkers 2`)"
                )
            time.sleep(0.1)
        return threads

    def _workers(self) -> dict[str, dict[str, Any]]:
        """Return every worker by address; none while the scheduler is lost.

        Not `scheduler_info()`: it returns what the client itself asks for meanwhile, which is the same without workers.
        """
        scheduler = self._client.scheduler
        try:
            return {} if scheduler is None else dict(self._client.sync(scheduler.identity)["workers"])
        except OSError as error:
            log.debug("the workers of %s could not be asked for: %s", self.address, error)
            return {}

    def _threads(self) -> dict[str, int]:
        found = {}
        for address, worker in self._workers().items():
            offered = worker.get("resources") or {}
            fits = [int(offered.get(name, 0) // amount) for name, amount in self._resources.items()]
            if threads := min([worker["nthreads"], *fits]):
                found[address] = threads
        return found

    def _offered(self) -> str:
        """Return the resources of the workers there are."""
        return "; ".join(sorted({_written(worker.get("resources") or {}) for worker in self._workers().values()}))

    def _check_software(self, workers: list[str]) -> dict[str, str]:
        """Return the software that every evaluation has to find; raise `PocketformerError` where workers differ."""
        expected = comparable_software()
        mark = cache_directory() / f"{uuid.uuid4()}.mark"
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        try:
            found = self._client.run(look_around, mark.name, workers=workers, on_error="return")
        finally:
            mark.unlink()
        apart = []
        for address, answer in found.items():
            if isinstance(answer, BaseException):
                raise PocketformerError(
                    f"the Dask worker {address} can't evaluate ({type(answer).__name__}: {answer}): install the same "
                    "releases of pocketformer and of Python there"
                ) from answer
            software, shares_cache = answer
            # Only what trains has to be one release of torch, perhaps built for cards that aren't here
            expected["torch"] = next(iter(found.values()))[0]["torch"]
            if software != expected:
                raise PocketformerError(f"the Dask worker {address} has {differing(software, expected)}")
            if not shares_cache:
                apart.append(address)
        if apart:
            log.warning(
                "%d of %d Dask workers do not share the cache folder %s: they can't train on people's own files, and a "
                "training that goes on after another worker has begun it begins anew",
                len(apart),
                len(found),
                mark.parent,
            )
        return expected

    # While jobs run, in the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                try:
                    self._act(*self._events.get(timeout=POLL_S))
                except Empty:
                    self._look()
            except Exception:  # the thread must go on: without it every evaluation would wait for ever
                log.exception("the Dask cluster at %s", self.address)
                self._closed.wait(POLL_S)
        for call in list(self._calls):
            call.future.cancel()

    def _act(self, what: str, call: Call | None, sent: DaskFuture[Any] | None) -> None:
        if call is None:
            return
        if what == "submitted":
            if not call.future.done():
                self._calls[call] = self._sent(call)
        elif what == "ended":
            begun = self._calls.pop(call, None)
            if begun is not None and begun.status != "cancelled":
                begun.cancel()
        elif sent is not None and self._calls.get(call) is sent:
            self._take(call, sent)

    def _sent(self, call: Call) -> DaskFuture[Any] | None:
        """Send a call to the scheduler; return None where there is none now."""
        if self._client.status != "running":
            return None
        sent: DaskFuture[Any] = self._client.submit(
            run_here,
            self._expected,
            call.call,
            *call.args,
            **call.kwargs,
            key=f"{getattr(call.call, '__name__', 'call')}-{uuid.uuid4()}",
            resources=self._resources or None,
            pure=False,
        )
        sent.add_done_callback(partial(self._landed, call))
        return sent

    def _landed(self, call: Call, sent: DaskFuture[Any]) -> None:
        self._events.put(("landed", call, sent))

    def _take(self, call: Call, sent: DaskFuture[Any]) -> None:
        """Take what the scheduler says of a call."""
        try:
            ran = sent.result(timeout=FETCH_S)
        except KilledWorker as error:
            call.fail(BrokenExecutor(str(error)))
        except (CancelledError, OSError) as error:
            if sent.status == "error":  # it is the call's own
                call.fail(error)
            else:
                log.warning("an evaluation is begun anew: %s", str(error).partition("\n")[0])
                sent.cancel()
                self._calls[call] = None
        except Exception as error:
            call.fail(error)
        else:
            call.end(ran)

    def _look(self) -> None:
        """Look after the connection, and after calls that wait for it or for a worker."""
        if self._client.status != "running":
            self._reconnect()
            return
        if self._is_lost:
            log.warning("the Dask scheduler at %s answers again", self.address)
            self._is_lost = False
        for call, sent in list(self._calls.items()):
            if sent is None or sent.status == "cancelled":
                self._calls[call] = self._sent(call)
        if self._calls and time.monotonic() - self._told_at > TOLD_EVERY_S and not self._threads():
            wanted = f" with {_written(self._resources)}" if self._resources else ""
            there = f"its workers have: {offered}" if (offered := self._offered()) else "it has no worker"
            log.warning("%d evaluations wait for a worker%s of %s; %s", len(self._calls), wanted, self.address, there)
            self._told_at = time.monotonic()

    def _reconnect(self) -> None:
        """Connect again; Dask's client tries for some seconds by itself, and is then replaced."""
        now = time.monotonic()
        if not self._is_lost:
            self._lost_at = now
        if not self._is_lost or now - self._told_at > TOLD_EVERY_S:
            log.warning("the Dask scheduler at %s is lost; what ran there is begun anew when it is back", self.address)
            self._told_at = now
        self._is_lost = True
        if self._client.status == "closed" or now - self._lost_at > 2 * CONNECT_S:
            try:
                self._client = self._connected()
            except ClusterUnavailable as error:
                log.debug("%s", error)


def _host_and_port(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        if parts.scheme in ("tcp", "tls") and parts.hostname and parts.port:
            return parts.hostname, parts.port
    except ValueError:
        log.debug("%s is no address", address)  # which is said below
    allowed = "a scheduler's address, tcp://HOST:PORT or tls://HOST:PORT"
    raise InvalidInput.of("dask", address, allowed, "name it as the scheduler's log does")


def _written(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in sorted(resources.items())) or "none"
