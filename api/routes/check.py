"""A job that is still being written: what is wrong with it, and what its metrics can reach."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from api.auth import PrincipalDep, check_evaluator
from api.inputs import DocumentDep, refuse_unknown_query, takes
from api.schemas.check import JobCheck
from api.schemas.problem import documented
from api.services import ServicesDep
from nas.jobs.checking import check

# Not below /v1/jobs, where a job could have that id
router = APIRouter(prefix="/v1/check", tags=["jobs"], dependencies=[Depends(refuse_unknown_query)])


@router.post("", response_model=JobCheck, responses=documented(413, 415, 422), openapi_extra=takes("JobDraft"))
def check_job(document: DocumentDep, services: ServicesDep, principal: PrincipalDep) -> dict[str, Any]:
    """Check a job without submitting it: what is wrong with each field, and the reach of every metric it may name.

    The document may be unfinished: what is missing is among `errors`, and the rest is told all the same.
    """
    check_evaluator(principal, document)
    return check(services.store, document, services.settings.evaluators)
