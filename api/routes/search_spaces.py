"""Search spaces: bundled and submitted ones, with their exact size and bounds."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Response

from api.inputs import DocumentDep, refuse_unknown_query, takes
from api.schemas.problem import documented
from api.schemas.space import SpaceList, SpaceSummary
from api.services import StoreDep
from nas.jobs.inventory import add_space, describe_space, describe_spaces

router = APIRouter(prefix="/v1/search-spaces", tags=["search spaces"], dependencies=[Depends(refuse_unknown_query)])


@router.get("", response_model=SpaceList, responses=documented())
def list_search_spaces(store: StoreDep) -> dict[str, Any]:
    """List every search space, bundled ones first."""
    return {"search_spaces": describe_spaces(store)}


@router.post(
    "",
    status_code=201,
    response_model=SpaceSummary,
    responses=documented(409, 413, 415, 422),
    openapi_extra=takes("SearchSpaceDocument"),
)
def add_search_space(document: DocumentDep, store: StoreDep, response: Response) -> dict[str, Any]:
    """Add a search space. A name stands for one content for ever, because jobs refer to it."""
    summary = add_space(store, document)
    response.headers["Location"] = f"/v1/search-spaces/{summary['name']}"
    return summary


@router.get("/{name}", response_model=SpaceSummary, responses=documented(404))
def look_at_search_space(name: str, store: StoreDep) -> dict[str, Any]:
    """Return one search space."""
    return describe_space(store, name)
