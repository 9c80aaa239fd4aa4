"""Commands that wait for their answer: ids, deadlines, what became of them. No I/O, no clock.

Part of `twin_link`, which seals and sends what is issued here.
"""

from meter_wire.effects import Answered
from meter_wire.entries import parse_entry
from meter_wire.portable.frame import need_uint
from meter_wire.portable.tlv import RemoteProtocolError
from meter_wire.tables import ANSWERS, TAGS, name_of

_TAGS = {row.name: row.number for row in TAGS}
_GRACE_MS = 5_000
_MOST_PENDING = 32

TIMEOUT = "timeout"
METER_OFFLINE = "meter_offline"
TWIN_BUSY = "twin_busy"
LOCAL_CODES = frozenset((TIMEOUT, METER_OFFLINE, TWIN_BUSY))
"""Ends of a command that the meter did not say: none of them shows that it is alive."""


class PendingCommands:
    """At most 32; each ends once: with the meter's answer or with one of `LOCAL_CODES`."""

    def __init__(self, last: int) -> None:
        """`last`: a random number, so that ids of another session do not come again."""
        self.last = last
        self.deadlines: dict[int, int] = {}

    def draw(self) -> int:
        """Return the next id."""
        self.last = (self.last + 1) & 0xFFFFFFFF
        return self.last

    @property
    def is_full(self) -> bool:
        """Whether no more may be under way."""
        return len(self.deadlines) >= _MOST_PENDING

    def wait(self, command: int, ttl_ms: int, now_ms: int) -> None:
        """Note that a command has been sent."""
        self.deadlines[command] = now_ms + ttl_ms + _GRACE_MS

    def answer(self, fields: dict[int, bytes]) -> Answered:
        """Return the result of a command.

        Raises:
            RemoteProtocolError: `malformed`, or `repeated`: nothing waits for it.
        """
        command = need_uint(fields, _TAGS["command"])
        code = name_of(ANSWERS, need_uint(fields, _TAGS["code"], 1))
        entry = fields.get(_TAGS["entry"])
        parsed = parse_entry(entry) if entry is not None else None
        if self.deadlines.pop(command, None) is None:
            raise RemoteProtocolError("repeated")
        return Answered(command, code, parsed, fields.get(_TAGS["data"], b""))

    def expire(self, now_ms: int) -> list[Answered]:
        """Return `timeout` for each command whose answer is overdue."""
        late = [command for command, at_ms in self.deadlines.items() if at_ms <= now_ms]
        for command in late:
            del self.deadlines[command]
        return [Answered(command, TIMEOUT) for command in late]
