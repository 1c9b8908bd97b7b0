"""Samplers: what proposes a job's candidates."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from api.inputs import refuse_unknown_query
from api.schemas.problem import documented
from api.schemas.sampler import SamplerList
from nas.search.samplers import ABOUT, SAMPLERS

router = APIRouter(prefix="/v1/samplers", tags=["jobs"], dependencies=[Depends(refuse_unknown_query)])


@router.get("", response_model=SamplerList, responses=documented())
def list_samplers() -> dict[str, Any]:
    """List every sampler that a job can name, the usual one first."""
    return {"samplers": [{"name": name, "description": ABOUT[name]} for name in SAMPLERS]}
