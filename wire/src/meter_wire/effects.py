"""Effects of the twin's link: what the shell does after each call, in order."""

from typing import NamedTuple

from meter_wire.entries import Entry


class Send(NamedTuple):
    """Publish on `mt/<device>/<epoch>/down`, QoS 1, not retained."""

    payload: bytes


class Hole(NamedTuple):
    """Numbers first to last will not come; reason as in `tables.HOLES` (3 released = local)."""

    first: int
    last: int
    reason: int


class StoreEntries(NamedTuple):
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


class Quarantine(NamedTuple):
    """Same identity, other bytes: keep both, count, report. Precedes the ack."""

    incarnation: bytes
    seq: int
    entry: bytes


class ChainBroken(NamedTuple):
    """The meter's history before `seq` is not the stored one; the entries are kept, report it.

    After a hello: the meter's head is below what is stored, so numbers from `seq` on come again.
    """

    incarnation: bytes
    seq: int


class MeterHello(NamedTuple):
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


class Described(NamedTuple):
    """DESCRIBE arrived: serial and registers with unit and scaler; keep the body."""

    digest: bytes
    body: bytes
    serial: str
    firmware: str
    registers: tuple[tuple[bytes, int, int], ...]


class Answered(NamedTuple):
    """A command's end: `code` of `tables.ANSWERS`, or one of `twin_commands.LOCAL_CODES`."""

    command: int
    code: str
    entry: Entry | None = None
    data: bytes = b""


class Live(NamedTuple):
    """A reading of a subscription, not stored."""

    command: int
    entry: Entry


class Farewell(NamedTuple):
    """The meter closed the pair of `retired`; `active` is its active epoch now (flow 10)."""

    retired: int
    active: int
    incarnation: bytes
    head: int
    owner_counter: int


class Refused(NamedTuple):
    """Something was refused and counted; `reason` of `tables.REFUSALS`."""

    reason: str
    detail: str = ""


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
