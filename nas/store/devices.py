"""Devices and their latency tables, versioned 1, 2, … for each device."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from sqlalchemy import Column, Row, Select, func, insert, select, update

from nas.documents import validate
from nas.errors import NotFound
from nas.latency.device import Device
from nas.store.database import Database, Section, insert_unless_there
from nas.store.records import LatencyTableRecord
from nas.store.tables import devices, latency_tables
from nas.store.values import plain, plain_text, within_range
from nas.workload import Workload

LIST_COLUMNS: tuple[Column[Any], ...] = tuple(c for c in latency_tables.c if c.name != "document")


class Devices(Section):
    """Keeping devices and their latency tables."""

    def put_device(self, device: dict[str, Any]) -> bool:
        """Keep a device under its name, in place of an earlier one; return whether that changed anything."""
        document = plain(device, "device")
        name = plain_text(document.get("name"), "device.name")
        with self._database.write() as connection:
            values = {"document": document, "updated_at": Database.now(connection)}
            if insert_unless_there(connection, devices, {"name": name, **values}):
                return True
            found = connection.execute(
                select(devices.c.document).where(devices.c.name == name).with_for_update()
            ).scalar_one()
            if found == document:
                return False
            connection.execute(update(devices).where(devices.c.name == name).values(values))
            return True

    def device(self, name: str) -> dict[str, Any]:
        """Return a device's document; raise `NotFound`."""
        statement = select(devices.c.document).where(devices.c.name == name)
        with self._database.read() as connection:
            document: dict[str, Any] | None = connection.execute(statement).scalar_one_or_none()
        if document is None:
            raise NotFound(f"There is no device {name!r}.")
        return document

    def devices(self) -> list[dict[str, Any]]:
        """Return every device's document, by name."""
        with self._database.read() as connection:
            documents = list(connection.execute(select(devices.c.document)).scalars())
        return sorted(documents, key=itemgetter("name"))

    def add_latency_table(
        self, device_name: str, document: dict[str, Any], summary: dict[str, Any] | None = None
    ) -> LatencyTableRecord:
        """Keep a table as the device's next version, with the light figures that lists shall show.

        Raises `NotFound` for an unknown device, `InvalidInput` when the table doesn't name its workload,
        space and device.
        """
        document = plain(document, "latency_table")
        values = {
            "device": device_name,
            "workload_key": validate(Workload, document.get("workload"), "latency_table.workload").key,
            "space": plain_text(document.get("space"), "latency_table.space"),
            "fingerprint": Device.from_dict(document.get("device"), "latency_table.device").fingerprint,
            "summary": plain(summary or {}, "summary"),
            "document": document,
        }
        with self._database.write() as connection:
            # The lock on the device's row makes one version after the other.
            lock = select(devices.c.name).where(devices.c.name == device_name).with_for_update()
            if connection.execute(lock).first() is None:
                raise NotFound(f"There is no device {device_name!r}: register it before its tables.")
            newest = connection.execute(
                select(func.max(latency_tables.c.version)).where(latency_tables.c.device == device_name)
            ).scalar_one()
            values |= {"version": (newest or 0) + 1, "created_at": Database.now(connection)}
            statement = insert(latency_tables).values(values).returning(latency_tables)
            return LatencyTableRecord(**connection.execute(statement).one()._mapping)

    def latency_tables(self, device: str) -> list[LatencyTableRecord]:
        """Return the device's tables by version, their documents left out."""
        statement = select(*LIST_COLUMNS).where(latency_tables.c.device == device)
        with self._database.read() as connection:
            rows = connection.execute(statement.order_by(latency_tables.c.version)).all()
        return [LatencyTableRecord(**row._mapping, document=None) for row in rows]

    def latency_table(self, device: str, version: int) -> LatencyTableRecord:
        """Return one version in full; raise `NotFound`."""
        row = self._first(
            select(latency_tables).where(
                latency_tables.c.device == device, latency_tables.c.version == within_range(version)
            )
        )
        if row is None:
            raise NotFound(f"The device {device!r} has no latency table of version {version}.")
        return LatencyTableRecord(**row._mapping)

    def latest_latency_table(
        self, device: str, workload_key: str, space: str | None = None
    ) -> LatencyTableRecord | None:
        """Return the device's newest table of this workload (and space, if given) in full, if there is one."""
        statement = select(latency_tables).where(
            latency_tables.c.device == device, latency_tables.c.workload_key == workload_key
        )
        if space is not None:
            statement = statement.where(latency_tables.c.space == space)
        row = self._first(statement.order_by(latency_tables.c.version.desc()).limit(1))
        return None if row is None else LatencyTableRecord(**row._mapping)

    def _first(self, statement: Select[Any]) -> Row[Any] | None:
        with self._database.read() as connection:
            return connection.execute(statement).first()
