"""The meter's description, kept durably: which registers it has, in which units.

It is asked for at HELLO when its digest is not the stored one. Neighbours: `link_loop` brings it,
`register_units` says what it means.
"""

from meter_wire.effects import Described
from meter_wire.entries import parse_description
from meter_wire.portable.tlv import RemoteProtocolError

from .register_units import RegisterUnit, Units, units_of
from .store import Store


class Description:
    """What this store knows of the meter's registers."""

    def __init__(self, store: Store) -> None:
        """Load what was stored; nothing, or a damaged one, is asked for again."""
        self._store = store
        self._units: dict[bytes, RegisterUnit] = {}
        self.digest = b""
        body = store.find_property("description")
        if body is None:
            return
        try:
            self._units.update(units_of(parse_description(body)[2]))
        except RemoteProtocolError:
            return
        self.digest = store.find_property("description_digest") or b""

    @property
    def units(self) -> Units:
        """The units now; the same object shows later descriptions too."""
        return self._units

    def learn(self, described: Described) -> None:
        """Keep a new description.

        Raises:
            StoreError: it is not durable, and what was known stays.
        """
        self._store.save_properties(
            {"description_digest": described.digest, "description": described.body}
        )
        self.digest = described.digest
        self._units.clear()
        self._units.update(units_of(described.registers))
