"""Cost and predicted latency of one architecture, without a job."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from api.inputs import DocumentDep, refuse_unknown_query, takes
from api.schemas.problem import documented
from api.schemas.score import Score, ScoreRequest
from api.services import StoreDep
from nas.architecture import Architecture
from nas.documents import validate
from nas.jobs.score import score

router = APIRouter(prefix="/v1/score", tags=["score"], dependencies=[Depends(refuse_unknown_query)])


@router.post(
    "",
    response_model=Score,
    response_model_exclude_none=True,
    responses=documented(413, 415, 422),
    openapi_extra=takes("ScoreRequest"),
)
def score_architecture(document: DocumentDep, store: StoreDep) -> dict[str, Any]:
    """Return the exact costs of one architecture, and its predicted latency on the devices."""
    request = validate(ScoreRequest, document)
    architecture = Architecture.from_dict(request.architecture)
    return score(store, architecture, request.workload, list(request.devices))
