"""Is it up, is it ready, and how does it do: for whoever runs the service."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from api.inputs import refuse_unknown_query
from api.installed import version_of
from api.problems import NotReady
from api.schemas.health import Alive, Ready
from api.schemas.problem import documented
from api.services import ServicesDep, StoreDep

_METRICS_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}},
    **documented(503),
}

router = APIRouter(tags=["operations"], dependencies=[Depends(refuse_unknown_query)])


@router.get("/healthz", responses=documented())
async def healthz() -> Alive:
    """Answer as long as the process is up, whatever the database does."""
    return Alive(version=version_of("pocketformer"))


@router.get("/readyz", responses=documented(503))
def readyz(store: StoreDep) -> Ready:
    """Answer 200 when the database answers and has this release's schema, else 503 saying what is wrong."""
    store.ping()
    revision = store.schema_revision()
    if revision is None or not store.is_migrated():
        raise NotReady(
            f"the database has schema {revision or 'none'}, which is not this release's: restart the service to "
            "migrate it, or install the release that wrote it"
        )
    return Ready(schema_revision=revision)


@router.get("/metrics", response_class=Response, responses=_METRICS_TEXT)
def metrics(services: ServicesDep) -> Response:
    """Return figures for Prometheus: requests, their durations, jobs, leases, trials, and recent evaluations."""
    return Response(services.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
