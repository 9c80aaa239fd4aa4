"""The calendar in force and the one to come, kept in the flash state; time alone chooses.

Before the first order of the utility that is the configuration's. An order brings another, which
is passive until a quarter hour: nothing is written when it comes into force, so no power cut, no
darkness and no step of the clock can leave the meter with a wrong one. In the manner of the
activity calendar of IEC 62056-6-2 (class 20). Neighbours: `orders` brings them, `metering` asks for
the rate, `measuring` records what came into force.
"""

import struct

import state as items
from meter_wire.portable.tariff_calendar import parse_calendar
from meter_wire.portable.tlv import RemoteProtocolError
from registers import ACTIVE_CALENDAR, PASSIVE_CALENDAR
from tariff import Calendar

QUARTER_S = 900
_LAST_S = 0xFFFFFFFF
_PLAN = ">IIH"
_PLAN_BYTES = 10


class Plan:
    """A calendar, from when it is in force and which order brought it; both 0: configured."""

    def __init__(self, calendar: Calendar, from_s: int = 0, counter: int = 0, data=b"") -> None:
        """`data`: the calendar's bytes, with its name, as the order had them."""
        self.calendar = calendar
        self.from_s = from_s
        self.counter = counter
        self.data = data
        self.name = data[2 : 2 + data[1]] if data else b""

    def save(self) -> bytes:
        """Return what is kept of it."""
        head = struct.pack(_PLAN, self.from_s // QUARTER_S, self.counter, len(self.data))
        return head + self.data


def load_plan(data: bytes, from_s: int, counter: int) -> Plan:
    """Return the plan of a calendar's bytes.

    Raises:
        RemoteProtocolError: `malformed`, also for a time that no entry can hold, or `version`.
    """
    if from_s > _LAST_S:
        raise RemoteProtocolError("malformed")
    calendar = Calendar([], [])
    _name, calendar.switches, calendar.offsets = parse_calendar(data)
    return Plan(calendar, from_s, counter, data)


class Calendars:
    """What `metering` takes for its calendar: `rate` and `month` of the one in force."""

    def __init__(self, state, configured: Calendar) -> None:
        """Take what is kept; what cannot be read counts as none (firmware that went back).

        It stays in the flash until the next order, and nothing is told of it.
        """
        self._state = state
        self._before = Plan(configured)
        self._newest = self._before
        self._seen = None
        kept = state.get(items.CALENDARS)
        self._told = int.from_bytes(kept[:4], "big")
        try:
            self._load(kept)
        except (RemoteProtocolError, MemoryError):
            self._newest = self._before = Plan(configured)
            self._told = 0

    def _load(self, kept: bytes) -> None:
        at = 4
        while at < len(kept):
            if at + _PLAN_BYTES > len(kept):
                raise RemoteProtocolError("malformed")
            quarter, counter, length = struct.unpack_from(_PLAN, kept, at)
            at += _PLAN_BYTES + length
            plan = load_plan(kept[at - length : at], quarter * QUARTER_S, counter)
            self._before, self._newest = self._newest, plan

    def _keep(self) -> None:
        plans = [plan.save() for plan in (self._before, self._newest) if plan.counter]
        self._state.set(items.CALENDARS, self._told.to_bytes(4, "big") + b"".join(plans))

    def _at(self, utc_s: int) -> Plan:
        return self._newest if utc_s >= self._newest.from_s else self._before

    def rate(self, utc_s: int) -> int:
        """Return the rate, and take notice of the calendar it is of."""
        self._seen = self._at(utc_s)
        return self._seen.calendar.rate(utc_s)

    def month(self, utc_s: int) -> int:
        """Return the billing month as of `Calendar.month`."""
        return self._at(utc_s).calendar.month(utc_s)

    def take(self, data: bytes, counter: int, activates_s: int, utc_s) -> None:
        """Keep a calendar that the utility has ordered; the caller saves the state.

        It is in force from the first quarter hour at or after `activates_s` that has not begun.
        What waited instead of it is gone.

        Args:
            data: the calendar's bytes.
            counter: of the order.
            activates_s: UTC second, 0 for at once.
            utc_s: the meter's time; None without a valid clock, then its first time decides.

        Raises:
            RemoteProtocolError: `malformed` or `version`; nothing has changed then.
        """
        from_s = (activates_s + QUARTER_S - 1) // QUARTER_S * QUARTER_S
        if utc_s is not None:
            from_s = max(from_s, utc_s // QUARTER_S * QUARTER_S + QUARTER_S)
        plan = load_plan(data, from_s, counter)
        self._before, self._newest = self._active(utc_s), plan
        self._keep()

    def _active(self, utc_s=None) -> Plan:
        """Return the one in force; without a time the one that was last."""
        if utc_s is not None:
            return self._at(utc_s)
        counter = self._told if self._seen is None else self._seen.counter
        return self._newest if self._newest.counter == counter else self._before

    def news(self) -> Plan | None:
        """Return the calendar that came into force and was not told yet."""
        seen = self._seen
        return None if seen is None or seen.counter == self._told else seen

    def tell(self, plan: Plan) -> None:
        """Note that the event about it is recorded; the caller saves the state."""
        self._told = plan.counter
        self._keep()

    def rows(self) -> list:
        """Return the names as rows of `Meter.snapshot`, their times those of coming into force."""
        active = self._active()
        passive = self._newest if self._newest is not active else Plan(active.calendar)
        return [
            (ACTIVE_CALENDAR, active.name, active.from_s or None),
            (PASSIVE_CALENDAR, passive.name, passive.from_s or None),
        ]
