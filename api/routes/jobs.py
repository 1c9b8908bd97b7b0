"""Jobs: submit, list, look, and what people ask of them afterwards."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.auth import PrincipalDep, check_control, check_evaluator
from api.inputs import DocumentDep, IdempotencyKeyDep, refuse_unknown_query, takes
from api.schemas.job import JobPage, JobSummary
from api.schemas.problem import documented
from api.services import ServicesDep, StoreDep
from nas.documents import validate
from nas.jobs.catalogue import finish, retry, submit
from nas.jobs.report import describe_job
from nas.search.job import JobChanges

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[Depends(refuse_unknown_query)])

_SEEN: dict[int | str, dict[str, Any]] = {
    200: {"model": JobSummary, "description": "The key was used before with this document: the first job."}
}


def _controlled_job(job_id: str, store: StoreDep, principal: PrincipalDep) -> str:
    """Return the id of a job that the caller may change."""
    check_control(principal, store.job(job_id))
    return job_id


ControlledJobDep = Annotated[str, Depends(_controlled_job)]


@router.post(
    "",
    status_code=201,
    response_model=JobSummary,
    responses=_SEEN | documented(409, 413, 415, 422),
    openapi_extra=takes("JobSpec"),
)
def submit_job(
    document: DocumentDep, key: IdempotencyKeyDep, services: ServicesDep, principal: PrincipalDep, response: Response
) -> dict[str, Any]:
    """Submit a job. Everything that the document names is checked before the job is acknowledged."""
    store = services.store
    check_evaluator(principal, document)
    job, created = submit(store, document, key, evaluators=services.settings.evaluators, owner=principal.owner)
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return describe_job(store, job)


@router.get("", response_model=JobPage, responses=documented(422))
def list_jobs(
    store: StoreDep,
    cursor: Annotated[str | None, Query(description="The `next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """List jobs, newest first."""
    jobs, next_cursor = store.jobs(cursor, limit)
    return {"jobs": [describe_job(store, job) for job in jobs], "next_cursor": next_cursor}


@router.get("/{job_id}", response_model=JobSummary, responses=documented(404))
def look_at_job(job_id: str, store: StoreDep) -> dict[str, Any]:
    """Return one job and how far it has come."""
    return describe_job(store, store.job(job_id))


@router.patch(
    "/{job_id}",
    response_model=JobSummary,
    responses=documented(404, 409, 413, 415, 422),
    openapi_extra=takes("JobChanges"),
)
def change_job(job_id: ControlledJobDep, document: DocumentDep, store: StoreDep) -> dict[str, Any]:
    """Change the priority of a job that has not ended: of the jobs that wait, the highest one is taken first."""
    return describe_job(store, store.set_priority(job_id, validate(JobChanges, document).priority))


@router.delete("/{job_id}", status_code=204, responses=documented(404, 409))
def delete_job(job_id: ControlledJobDep, store: StoreDep) -> None:
    """Delete a job that has ended or is paused, with its trials, events, and weights that no other job has."""
    store.delete_job(job_id)


@router.post("/{job_id}/cancel", response_model=JobSummary, responses=documented(404, 409))
def cancel_job(job_id: ControlledJobDep, store: StoreDep) -> dict[str, Any]:
    """Cancel a job: one that waits at once, one that a worker is at as soon as the worker hears of it."""
    return describe_job(store, store.request_cancel(job_id))


@router.post("/{job_id}/pause", response_model=JobSummary, responses=documented(404, 409))
def pause_job(job_id: ControlledJobDep, store: StoreDep) -> dict[str, Any]:
    """Pause a job as `cancel` ends one. What is in training then is trained anew when it goes on."""
    return describe_job(store, store.request_pause(job_id))


@router.post("/{job_id}/resume", response_model=JobSummary, responses=documented(404, 409))
def resume_job(job_id: ControlledJobDep, store: StoreDep) -> dict[str, Any]:
    """Queue a paused job again; the time it was paused for does not count into its hours."""
    return describe_job(store, store.resume_job(job_id))


@router.post("/{job_id}/retry", response_model=JobSummary, responses=documented(404, 409))
def retry_job(job_id: ControlledJobDep, store: StoreDep, principal: PrincipalDep) -> dict[str, Any]:
    """Have the search of a job that failed or was cancelled go on after the trials that it has."""
    return describe_job(store, retry(store, job_id, principal.owner))


@router.post(
    "/{job_id}/finish",
    response_model=JobSummary,
    responses=documented(404, 409, 413, 415, 422),
    openapi_extra=takes("Finish"),
)
def finish_job(
    job_id: ControlledJobDep, document: DocumentDep, store: StoreDep, principal: PrincipalDep
) -> dict[str, Any]:
    """Train in full what a search has found: its front, the smallest, the largest, and a sample to judge it by.

    The job is queued again, and afterwards is what its search made it. The same request twice is one.
    """
    return describe_job(store, finish(store, job_id, document, principal.owner))
