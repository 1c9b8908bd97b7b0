"""Devices and their versioned latency tables."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response

from api.inputs import DocumentDep, TableDocumentDep, refuse_unknown_query, takes
from api.schemas.device import DeviceList, DeviceSummary, TableList, TableReport, TableSummary
from api.schemas.documents import LatencyTableDocument
from api.schemas.problem import documented
from api.services import StoreDep
from nas.jobs.device_report import report_on_table
from nas.jobs.inventory import add_device, add_table, describe_device, describe_devices, describe_tables

router = APIRouter(prefix="/v1/devices", tags=["devices"], dependencies=[Depends(refuse_unknown_query)])

_KNOWN: dict[int | str, dict[str, Any]] = {
    200: {"model": DeviceSummary, "description": "The device was known, exactly so."}
}


@router.get("", response_model=DeviceList, responses=documented())
def list_devices(store: StoreDep) -> dict[str, Any]:
    """List every device with its latency tables."""
    return {"devices": describe_devices(store)}


@router.post(
    "",
    status_code=201,
    response_model=DeviceSummary,
    responses=_KNOWN | documented(413, 415, 422),
    openapi_extra=takes("Device"),
)
def put_device(document: DocumentDep, store: StoreDep, response: Response) -> dict[str, Any]:
    """Add a device, or replace what is known of it."""
    device, changed = add_device(store, document)
    response.status_code = 201 if changed else 200
    response.headers["Location"] = f"/v1/devices/{device['name']}"
    return device


@router.get("/{name}", response_model=DeviceSummary, responses=documented(404))
def look_at_device(name: str, store: StoreDep) -> dict[str, Any]:
    """Return one device with its latency tables."""
    return describe_device(store, name)


@router.get("/{name}/latency-tables", response_model=TableList, responses=documented(404))
def list_latency_tables(name: str, store: StoreDep) -> dict[str, Any]:
    """List the latency tables of a device, newest last."""
    return {"latency_tables": describe_tables(store, name)}


@router.post(
    "/{name}/latency-tables",
    status_code=201,
    response_model=TableSummary,
    responses=documented(404, 413, 415, 422),
    openapi_extra=takes("LatencyTable", yaml=False),
)
def add_latency_table(name: str, document: TableDocumentDep, store: StoreDep, response: Response) -> dict[str, Any]:
    """Add a latency table as the device's next version; earlier versions stay, since jobs refer to them."""
    summary = add_table(store, name, document)
    response.headers["Location"] = f"/v1/devices/{name}/latency-tables/{summary['version']}"
    return summary


@router.get("/{name}/latency-tables/{version}", response_model=LatencyTableDocument, responses=documented(404, 422))
def look_at_latency_table(name: str, version: Annotated[int, Path(ge=1)], store: StoreDep) -> dict[str, Any] | None:
    """Return one version of a device's latency table in full."""
    return store.latency_table(name, version).document


@router.get("/{name}/latency-tables/{version}/report", response_model=TableReport, responses=documented(404, 422))
def report_on_latency_table(name: str, version: Annotated[int, Path(ge=1)], store: StoreDep) -> dict[str, Any]:
    """Return how far a latency table can be trusted: each whole model predicted and measured, and what it covers."""
    return report_on_table(store, name, version)
