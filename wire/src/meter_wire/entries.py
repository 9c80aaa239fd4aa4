"""Parses entries of the meter's ring; `portable.entry` encodes them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RegisterValue:
    """One register: six-byte OBIS code, signed integer or octets, its own UTC time if it has."""

    code: bytes
    value: int | bytes
    at_s: int | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """Source signature: algorithm as in `tables.SIGNATURES`, and its bytes."""

    algorithm: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A reading or an event."""

    kind: int
    status: int
    time_s: int
    uptime_s: int
    boot: int
    registers: tuple[RegisterValue, ...] = ()
    event_code: int | None = None
    arguments: tuple[int | bytes, ...] = ()
    signature: Signature | None = None

    @property
    def is_event(self) -> bool:
        """Whether this is an event rather than a reading."""
        return self.kind == 2  # noqa: PLR2004


def parse_entry(data: bytes) -> Entry:
    """Return an entry.

    Raises:
        RemoteProtocolError: `malformed`; kinds that are not known are returned, without fields.
    """
    raise NotImplementedError


def status_names(status: int) -> list[str]:
    """Return the names of the set bits, as in `tables.STATUS` (`clock_adjusted`, ...)."""
    raise NotImplementedError
