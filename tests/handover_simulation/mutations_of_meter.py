"""What a meter does wrong."""

from typing import Any

from meter_wire.portable import meter_epochs, meter_link, owner

from .replacing import Replace


def the_floor_moves_at_candidate(replace: Replace) -> None:
    """A meter that has heard of a candidate refuses the active twin after an abort."""
    right = owner.refusal

    def refuse(record: Any, device: str, current: Any, nonce: bytes) -> str | None:
        if current is not None and record.active < max(current.active, current.candidate):
            return "floor"
        return right(record, device, current, nonce)

    replace(meter_epochs, "refusal", refuse)


def owner_records_of_any_age(replace: Replace) -> None:
    """A meter obeys what it reads, also what it has outlived."""
    right = owner.refusal

    def refuse(record: Any, device: str, current: Any, nonce: bytes) -> str | None:
        found = right(record, device, current, nonce)
        return None if found in {"counter", "floor", "conflict"} else found

    replace(meter_epochs, "refusal", refuse)


def candidates_acknowledge(replace: Replace) -> None:
    """The meter lets go of what only a candidate has."""
    right = meter_link.MeterLink._is_active

    def is_active(self: Any, epoch: int) -> bool:
        return right(self, epoch) or (self.owner is not None and self.owner.candidate == epoch)

    replace(meter_link.MeterLink, "_is_active", is_active)
