"""Effects of the twin's link: what the shell does after each call, in order."""

from dataclasses import dataclass, field

from meter_wire.entries import Entry


@dataclass(frozen=True, slots=True)
class Send:
    """Publish on `mt/<device>/<epoch>/down`, QoS 1, not retained."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers first to last will not come; reason as in `tables.HOLES` (3 released = local)."""

    first: int
    last: int
    reason: int


@dataclass(frozen=True, slots=True)
class StoreEntries:
    """Commit in one transaction, then call `TwinLink.stored(batch)`, or `failed()`.

    `entries` are (seq, bytes), new or filling a local hole; `stored` and `chain` are the marks of
    the incarnation after it, `holes` to be kept with their reason. The bytes are the meter's own:
    `parse_entry` may refuse them, and they are to be kept all the same.
    """

    batch: int
    incarnation: bytes
    entries: tuple[tuple[int, bytes], ...]
    holes: tuple[Hole, ...]
    stored: int
    chain: bytes


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Same identity, other bytes: keep both, count, report. Precedes the ack."""

    incarnation: bytes
    seq: int
    entry: bytes


@dataclass(frozen=True, slots=True)
class ChainBroken:
    """The meter's history before `seq` is not the stored one; the entries are kept, report it.

    After a hello: the meter's head is below what is stored, so numbers from `seq` on come again.
    """

    incarnation: bytes
    seq: int


@dataclass(frozen=True, slots=True)
class MeterHello:
    """The meter opened a session: persist `number` as the incarnation's last hello."""

    device: str
    incarnation: bytes
    number: tuple[int, int]
    boot: int
    uptime_ms: int
    oldest: int
    head: int
    floor: int
    highest: int
    owner_counter: int
    clock_state: int
    capabilities: int
    firmware: str


@dataclass(frozen=True, slots=True)
class Described:
    """DESCRIBE arrived: serial and registers with unit and scaler; keep the body."""

    digest: bytes
    body: bytes
    serial: str
    firmware: str
    registers: tuple[tuple[bytes, int, int], ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """A command's end: `code` of `tables.ANSWERS`, or `timeout` when none came in time."""

    command: int
    code: str
    entry: Entry | None = None
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Live:
    """A reading of a subscription, not stored."""

    command: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Farewell:
    """The meter closed the pair of `retired`; `active` is its active epoch now (flow 10)."""

    retired: int
    active: int
    incarnation: bytes
    head: int
    owner_counter: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Something was refused and counted; `reason` of `tables.REFUSALS`."""

    reason: str
    detail: str = field(default="")


Effect = (
    Send
    | StoreEntries
    | Quarantine
    | ChainBroken
    | MeterHello
    | Described
    | Answered
    | Live
    | Farewell
    | Refused
)
