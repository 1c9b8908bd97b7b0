"""Datasets: what a job can be run on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends

from api.inputs import refuse_unknown_query
from api.schemas.dataset import DatasetList, DatasetSummary
from api.schemas.problem import documented
from nas.errors import NotFound
from nas.quality.datasets import dataset_info, dataset_names

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], dependencies=[Depends(refuse_unknown_query)])


@router.get("", response_model=DatasetList, responses=documented(503))
def list_datasets() -> dict[str, Any]:
    """List every dataset that a job can name."""
    return {"datasets": [asdict(dataset_info(name)) for name in dataset_names()]}


@router.get("/{name}", response_model=DatasetSummary, responses=documented(404, 503))
def look_at_dataset(name: str) -> dict[str, Any]:
    """Return one dataset."""
    if name not in dataset_names():
        raise NotFound(f"There is no dataset {name!r}, only {', '.join(dataset_names())}.")
    return asdict(dataset_info(name))
