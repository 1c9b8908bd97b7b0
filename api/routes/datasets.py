"""Datasets: what a job can be run on, bundled or brought."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import CancelScope, to_thread
from fastapi import APIRouter, Depends, Query, Request, Response

from api.auth import PrincipalDep
from api.inputs import refuse_unknown_query
from api.schemas.dataset import DatasetList, DatasetSummary, FileSummary
from api.schemas.problem import documented
from api.services import StoreDep
from nas.errors import MissingPackage, NotFound
from nas.jobs.files import Intake, describe_file, describe_files
from nas.jobs.inventory import describe_dataset
from nas.quality.datasets import dataset_names
from nas.quality.datasets.own.document import FILE_NAME, MAX_FILE_NAME

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], dependencies=[Depends(refuse_unknown_query)])

PATH = router.prefix
_SEEN: dict[int | str, dict[str, Any]] = {
    200: {"model": FileSummary, "description": "The file was there before, with the same content."}
}
_RAW = {
    "requestBody": {
        "required": True,
        "description": "The file itself, as it is: CSV, TSV, JSONL or plain text.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("", response_model=DatasetList, responses=documented(503))
def list_datasets(store: StoreDep) -> dict[str, Any]:
    """List every dataset that a job can name, and every file that was brought."""
    datasets, unavailable = [], []
    for name in dataset_names():
        try:
            datasets.append(describe_dataset(name))
        except MissingPackage as error:
            unavailable.append({"name": name, "reason": str(error)})
    return {"datasets": datasets, "unavailable": unavailable, "files": describe_files(store)}


@router.post(
    "", status_code=201, response_model=FileSummary, responses=_SEEN | documented(409, 413, 422), openapi_extra=_RAW
)
async def add_file(
    request: Request,
    store: StoreDep,
    principal: PrincipalDep,
    response: Response,
    name: Annotated[
        str,
        Query(
            description="What jobs call the file, such as `reviews.csv`.",
            json_schema_extra={"pattern": FILE_NAME, "maxLength": MAX_FILE_NAME},
        ),
    ],
) -> dict[str, Any]:
    """Bring a file of your own: the body is the file.

    Its name stands for one content for ever, because jobs refer to it.
    """
    intake = await to_thread.run_sync(Intake, store, name, principal.owner)
    try:
        async for piece in request.stream():
            await to_thread.run_sync(intake.take, piece)
        summary, created = await to_thread.run_sync(intake.finish)
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(intake.abandon)
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"{PATH}/{name}"
    return summary


@router.get("/{name}", response_model=DatasetSummary | FileSummary, responses=documented(404, 503))
def look_at_dataset(name: str, store: StoreDep) -> dict[str, Any]:
    """Return one dataset, or one file that was brought."""
    if name in dataset_names():
        return describe_dataset(name)
    try:
        return describe_file(store, name)
    except NotFound as error:
        known = ", ".join((*dataset_names(), *(record["name"] for record in describe_files(store))))
        raise NotFound(f"There is no dataset {name!r}, only {known}.") from error
