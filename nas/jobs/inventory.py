"""What a job can name: search spaces with their size and bounds, devices with their latency tables."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from nas.architecture import TaskShape
from nas.costs import Bounds, cost_names
from nas.errors import Conflict, InvalidInput
from nas.latency.device import Device
from nas.latency.predict import LatencyPredictor
from nas.latency.table import LatencyTable
from nas.quality.datasets import dataset_info
from nas.quality.task_shapes import FAMILIES
from nas.space import SearchSpace
from nas.store.records import LatencyTableRecord
from nas.store.store import Store
from nas.workload import Workload
from search_spaces import bundled

SPACES_KEPT = 256


def add_space(store: Store, document: Any) -> dict[str, Any]:
    """Keep a search space and return its summary; raise `InvalidInput`, or `Conflict` for a name that is taken."""
    space = SearchSpace.from_document(document, "")
    if space.name in bundled():
        raise Conflict(f"There is a bundled search space {space.name!r}: give the new one another name.")
    summary = _describe(space, cost_names(space.family))
    store.add_search_space(space.to_document())
    return summary


def describe_spaces(store: Store) -> list[dict[str, Any]]:
    """Return the summary of every space, bundled ones first, with the bounds of its parameters alone."""
    documents = [*bundled().values(), *store.search_spaces()]
    return [_describe(SearchSpace.from_document(document), ("parameters",)) for document in documents]


def describe_space(store: Store, name: str) -> dict[str, Any]:
    """Return the summary of one space, with the bounds of every cost; raise `NotFound`."""
    document = bundled().get(name) or store.search_space(name)
    space = SearchSpace.from_document(document)
    return _describe(space, cost_names(space.family))


def describe_dataset(name: str) -> dict[str, Any]:
    """Return the facts about a bundled dataset; raise `MissingPackage` where its package is not installed."""
    info = dataset_info(name)
    return info.to_dict() | {"family": FAMILIES[info.task]}


def longest_workload(shape: TaskShape, family: str) -> Workload:
    """Return the workload that a family is described at: the longest input; a decoder reads half and writes half."""
    if family == "decoder":
        read = max(1, shape.max_length // 2)
        return Workload(input_length=read, output_length=shape.max_length - read)
    return Workload(input_length=shape.max_length, output_length=shape.max_output_length)


def _describe(space: SearchSpace, costs: tuple[str, ...]) -> dict[str, Any]:
    document = space.to_document()
    return {
        "name": space.name,
        "description": space.description,
        "family": space.family,
        "size": space.size,
        "size_text": size_text(space.size),
        "bundled": space.name in bundled(),
        "bounds": _bounds(json.dumps(document, sort_keys=True), costs),
        "bounds_workload": longest_workload(space.task_shape, space.family).model_dump(mode="json"),
        "document": document,
    }


@lru_cache(maxsize=SPACES_KEPT)
def _bounds(document: str, costs: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Return the exact range of each cost over the space, at `longest_workload`."""
    space = SearchSpace.from_document(json.loads(document))
    workload = longest_workload(space.task_shape, space.family)
    bounds = Bounds(space, workload, only_parameters=costs == ("parameters",))
    result: dict[str, dict[str, float]] = {}
    for cost in costs:
        found = bounds.of(cost)
        assert found is not None  # without limits there is always an architecture
        result[cost] = {"lowest": found[0][0], "highest": found[1][0]}
    return result


def size_text(size: int) -> str:
    """Return a number of architectures as a person reads it: `144`, or `5.3 × 10^10` from a million on."""
    if size < 1_000_000:
        return f"{size:,}"
    exponent = len(str(size)) - 1  # a float would overflow: some spaces have more architectures than 10^308
    tenths = (size + 5 * 10 ** (exponent - 2)) // 10 ** (exponent - 1)
    if tenths == 100:  # 9.96 is 10.0
        tenths, exponent = 10, exponent + 1
    return f"{tenths // 10}.{tenths % 10} × 10^{exponent}"


def add_device(store: Store, document: Any) -> tuple[dict[str, Any], bool]:
    """Keep a device and return its description, and whether that changed anything; raise `InvalidInput`."""
    device = Device.from_dict(document, "")
    changed = store.put_device(device.model_dump(mode="json"))
    return describe_device(store, device.name), changed


def describe_devices(store: Store) -> list[dict[str, Any]]:
    """Return every device with the summaries of its tables, by name."""
    return [describe_device(store, str(device["name"])) for device in store.devices()]


def describe_device(store: Store, name: str) -> dict[str, Any]:
    """Return one device with the summaries of its tables; raise `NotFound`."""
    device = Device.from_dict(store.device(name))
    return {**device.to_dict(), "tables": describe_tables(store, name)}


def add_table(store: Store, device: str, document: Any) -> dict[str, Any]:
    """Keep a latency table as the device's next version and return its summary.

    Raises `NotFound` for an unknown device, `InvalidInput` for a table that is not valid or is another device's.
    """
    store.device(device)
    table = LatencyTable.from_dict(document)
    if table.device.name != device:
        raise InvalidInput.of(
            "device.name", table.device.name, device, f"add the table to the device {table.device.name}"
        )
    summary = {
        "protocol": table.protocol,
        "entries": len(table.entries),
        "invalid_entries": len(table.invalid_entries),
        "whole_models": len(table.whole_models),
        "errors": LatencyPredictor(table).errors(),
    }
    return describe_table(store.add_latency_table(device, table.to_dict(), summary))


def describe_tables(store: Store, device: str) -> list[dict[str, Any]]:
    """Return the summaries of a device's tables by version; raise `NotFound` for an unknown device."""
    store.device(device)
    return [describe_table(record) for record in store.latency_tables(device)]


def describe_table(record: LatencyTableRecord) -> dict[str, Any]:
    """Return the summary of one version of a device's table."""
    return {
        "device": record.device,
        "version": record.version,
        "space": record.space,
        "workload": record.workload_key,
        "created_at": record.created_at.isoformat().replace("+00:00", "Z"),
        "fingerprint": record.fingerprint,
        **record.summary,
    }
