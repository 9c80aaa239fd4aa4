"""Commands that a twin sends to its meter. Times to live are given when they are issued."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Read:
    """Ask for registers now; no codes: all of them."""

    codes: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Ask for live readings every `period_s` during `duration_s`; duration 0 ends it."""

    codes: tuple[bytes, ...]
    period_s: int
    duration_s: int


@dataclass(frozen=True, slots=True)
class Write:
    """Set a target of `tables.TARGETS`: `capture_period`, `report_spread` or `load`."""

    target: str
    value: int
    index: int = 0
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """Pass an order that the utility signed (supply, large clock step), unchanged."""

    order: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Forward:
    """Hand opaque bytes (at most 512) to the EMS port, at most once."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SetTime:
    """Set the meter's clock to UTC; steps over 60 s need an `Order`."""

    utc_ms: int


@dataclass(frozen=True, slots=True)
class PassOwner:
    """Hand an owner record to the meter, the fast path of flows 6 and 7."""

    record: bytes


Command = Read | Subscribe | Write | Order | Forward | SetTime | PassOwner
