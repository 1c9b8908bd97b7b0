"""Reach: what stands at an address, as a device, and whether a device is still what it was."""

from __future__ import annotations

import secrets
from contextlib import suppress

from nas.errors import DeviceLost, InvalidInput
from nas.latency.bench import runtime_version_at
from nas.latency.describe import Description, describe
from nas.latency.device import Device, check_name
from nas.latency.runtimes import Precision, runtime
from nas.latency.transports import Transport, transport_at

_MUST_AGREE = ("hardware", "runtime_version", "clock")


def device_at(
    address: str,
    *,
    name: str,
    runtime_name: str = "onnxruntime",
    precision: str = "fp32",
    threads: int = 1,
) -> Device:
    """Return the device that stands at an address, as it describes itself.

    Raises `InvalidInput` for what is no address, runtime or precision of it, `DeviceLost` if it can't be reached,
    `MeasurementFailed` if it lacks the runtime.
    """
    check_name(name)
    precise = known_precision(runtime_name, precision)
    with transport_at(address, f"describe-{secrets.token_hex(8)}") as transport:
        try:
            return _as_device(
                transport, describe(transport), name=name, runtime_name=runtime_name, precision=precise, threads=threads
            )
        finally:
            with suppress(DeviceLost):  # said already, by what led here
                transport.clean_up()


def known_precision(runtime_name: str, precision: str, field: str = "device.precision") -> Precision:
    """Return the precision; raise `InvalidInput` unless the runtime has it."""
    known = runtime(runtime_name).precisions
    for one in known:
        if one == precision:
            return one
    raise InvalidInput.of(field, precision, f"{', '.join(known)} (what {runtime_name} has)", "name one of these")


def check_device(device: Device, transport: Transport) -> Description:
    """Return what the device says of itself now; raise `InvalidInput` naming what is no more as it was."""
    description = describe(transport)
    found = _as_device(
        transport,
        description,
        name=device.name,
        runtime_name=device.runtime,
        precision=device.precision,
        threads=device.threads,
    )
    for field in _MUST_AGREE:
        if getattr(found, field) != getattr(device, field):
            raise InvalidInput.of(
                f"device.{field}",
                getattr(device, field),
                f"{getattr(found, field)!r}, the {field} of what stands at {device.address}",
                "measure on the device itself, or, if this is it and it has changed, profile it anew",
            )
    return description


def _as_device(
    transport: Transport,
    description: Description,
    *,
    name: str,
    runtime_name: str,
    precision: Precision,
    threads: int,
) -> Device:
    says = description
    model = says.product or says.cpu_model or "unknown CPU"
    chip = f", {says.soc or says.cpu_model}" if says.product and (says.soc or says.cpu_model) else ""
    return Device.from_dict(
        {
            "name": name,
            "hardware": f"{model}{chip} ({says.architecture or 'unknown'})"[:300],
            "cores": says.cores or 1,
            "memory_mb": says.memory_mb,
            "runtime": runtime_name,
            "runtime_version": runtime_version_at(transport, runtime_name),
            "threads": threads,
            "precision": precision,
            "clock": says.governor or "unmanaged",
            "system": says.system or "unknown",
            "address": transport.address,
        }
    )
