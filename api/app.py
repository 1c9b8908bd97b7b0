"""create_app: the one place where the service is put together. Nothing connects before the app starts."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from fastapi import Depends, FastAPI
from starlette.types import Scope

from api.audited import Audited
from api.auth import guard
from api.followed import Followed
from api.installed import version_of
from api.metrics import RequestMetrics, StoreMetrics
from api.middleware import Around, BodyLimits, OwnNames
from api.news import News
from api.openapi import describe
from api.problems import handle_problems
from api.rates import Rates
from api.routes import (
    check,
    compare,
    dashboard,
    datasets,
    devices,
    docs,
    events,
    health,
    jobs,
    keys,
    samplers,
    score,
    search_spaces,
    session,
    trials,
)
from api.services import Services
from api.settings import Settings
from api.start import prepare
from nas.cache import cache_directory
from nas.jobs.bundles import Bundles
from nas.store.store import Store

_DESCRIPTION = """Find the Transformer that fits the phone.

Submit a job, follow its events, read its front under any limits, download what you choose. **MACs** are
multiply-adds; latencies are in milliseconds with a 90 % interval; qualities say what they were measured after. One
shape holds every error: `application/problem+json`."""


def create_app(settings: Settings) -> FastAPI:
    """Return the service for these settings. Raises `InvalidInput` for a database address that is no address."""
    store = Store.open(settings.database_url)
    metrics = RequestMetrics()
    metrics.registry.register(StoreMetrics(store.figures))
    news = News(store.news_mark, settings.event_poll_s)
    bundles = Bundles(settings.database_url, cache_directory() / "bundles")
    services = Services(settings, store, news, Followed(store), metrics, Rates(), bundles)
    app = FastAPI(
        title="Pocketformer",
        version=version_of("pocketformer"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(guard)],
        lifespan=_lifespan,
    )
    app.state.services = services
    handle_problems(app)
    app.add_middleware(Audited, store=store)
    app.add_middleware(BodyLimits, limit_of=_limits(settings), timeout_s=settings.body_timeout_s)
    if "*" not in settings.allowed_hosts:
        app.add_middleware(OwnNames, allowed=settings.allowed_hosts)
    app.add_middleware(Around, metrics=metrics)  # added last, so outermost
    for resource in (search_spaces, devices, datasets, samplers, score, check, jobs, events, trials, compare):
        app.include_router(resource.router)
    for resource in (keys, session, health, docs, dashboard):
        app.include_router(resource.router)
    # Before all others: a page asks for many of them
    app.router.routes[:0] = [docs.reference_files(), *dashboard.dashboard_files()]
    describe(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    await anyio.to_thread.run_sync(prepare, services.store, services.settings)
    try:
        async with anyio.create_task_group() as beside:
            beside.start_soon(services.news.poll)
            async with _embedded_worker(services):
                yield
            beside.cancel_scope.cancel()
    finally:
        services.bundles.close()
        services.store.close()


@asynccontextmanager
async def _embedded_worker(services: Services) -> AsyncIterator[None]:
    """Run jobs beside the server, if the settings say so; a job under way is handed back when the server stops."""
    if not services.settings.embedded_worker:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_work, args=(services, stop), name="pocketformer-worker")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        await anyio.to_thread.run_sync(thread.join)


def _work(services: Services, stop: threading.Event) -> None:
    from nas.jobs.worker import Worker  # noqa: PLC0415  (takes torch with it, which serving alone need not wait for)

    settings = services.settings
    Worker(services.store, processes=settings.worker_processes, evaluators=settings.evaluators).run(stop)


def _limits(settings: Settings) -> Callable[[Scope], int]:
    def limit_of(scope: Scope) -> int:
        if scope["path"] == datasets.PATH:
            return settings.max_file_bytes
        takes_tables = scope["path"].endswith("/latency-tables")
        return settings.max_latency_table_bytes if takes_tables else settings.max_body_bytes

    return limit_of
