"""Exports: readings at the resolution of the data policy, sealed to each recipient's public key.

Neighbours: `api` asks, an engine of the port `encrypt` seals. Nothing leaves in plain text: without
an engine or a recipient there is no export.
"""

import base64
import json
from typing import Any

from meter_wire.entries import parse_entry
from meter_wire.portable.tlv import RemoteProtocolError

from .configuration import Configuration
from .engine import Encrypt
from .http_server import ApiError
from .presentation import format_entry
from .queries import format_cursor
from .register_units import Units
from .store import Store
from .store_queries import PAGE_ROWS, Filter, Position, find_start, load_page

MOST_READINGS = 200
_MOST_ROWS = 20_000


class Exporter:
    """Makes sealed documents; recipients and resolution come from the data policy."""

    def __init__(
        self, configuration: Configuration, store: Store, engine: Encrypt | None, units: Units
    ) -> None:
        """`engine`: of the port `encrypt`, None if none is selected; `units`: as described."""
        self._configuration = configuration
        self._store = store
        self._engine = engine
        self._units = units

    def export(self, window: Filter, after: Position | None) -> dict[str, Any]:
        """Return one sealed document a recipient, with a cursor if there is more.

        Raises:
            ApiError: no engine or no recipient is configured.
        """
        engine, recipients = self._engine, self._configuration.recipients
        if engine is None:
            raise ApiError(
                409, "engines.encrypt", "is not selected", "select an engine, e.g. sealed-box"
            )
        if not recipients:
            raise ApiError(
                409, "dataPolicy.recipients", "is empty", "add a recipient with its public key"
            )
        readings, cursor = self._collect(window, after)
        head = json.dumps(
            {
                "device": self._configuration.device,
                "meteringPoint": self._configuration.metering_point,
                "purpose": self._configuration.purpose,
                "resolutionSeconds": self._configuration.resolution_s,
            },
            separators=(",", ":"),
        )
        plain = f'{head[:-1]},"readings":[{",".join(readings)}]}}'.encode()
        exports = [
            {
                "recipient": recipient.name,
                "algorithm": engine.algorithm,
                "readings": len(readings),
                "data": base64.b64encode(engine.seal(recipient.public_key, plain)).decode(),
            }
            for recipient in recipients
        ]
        return {"exports": exports, "next": cursor}

    def _collect(self, window: Filter, after: Position | None) -> tuple[list[str], str | None]:
        """Return readings whose time is a multiple of the resolution, and where to go on."""
        position = after if after is not None else find_start(self._store, window)
        readings: list[str] = []
        for _ in range(_MOST_ROWS // PAGE_ROWS):
            rows = load_page(self._store, window, position)
            for row in rows:
                position = row.position
                try:
                    entry = parse_entry(row.raw)
                except RemoteProtocolError:
                    continue
                if entry.time_s % self._configuration.resolution_s == 0 and entry.time_s:
                    item = format_entry(row.incarnation, row.position.seq, entry, self._units)
                    readings.append(json.dumps(item, separators=(",", ":")))
            if len(rows) < PAGE_ROWS:
                return readings, None
            if len(readings) >= MOST_READINGS:
                break
        return readings, format_cursor(position)
