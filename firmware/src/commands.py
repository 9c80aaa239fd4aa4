"""Carries out what the link hands over: reads, subscriptions, writes, orders, forwards, times.

Every command gets exactly one answer, except a time that came with WELCOME. Neighbours:
`link_task`, which calls `handle` for each event of the link, and everything that is acted on.
"""

import asyncio

import state as items
from event_codes import (
    CLOCK_REFUSED,
    CLOCK_SET,
    CLOCK_STEP,
    CONFIGURATION,
    LIMIT_TRIP,
    LOCK_OUT,
    ORDER,
    RELAY_LOAD,
    RELAY_SUPPLY,
)
from meter_wire.portable.entry import STATUS_CLOCK_ADJUSTED
from untold import keep_owner, tell_owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from local_control import Contactors
    from meter_wire.portable.meter_link import MeterLink

_OK = 0
_ABSENT = 1
_REFUSED = 3
_UNKNOWN = 5
_UNSIGNED = 6
_BUSY = 7
_OUT_OF_RANGE = 9
_CAPTURE_PERIOD = 1
_REPORT_SPREAD = 2
_LOAD = 3
_MOST_SUBSCRIPTIONS = 2
_REFUSAL_PAUSE_MS = 3600000
"""A refused time is an event once an hour: whoever sends wrong ones must not fill the ring."""


class Commands:
    """The meter's parts, and what the twin wants of them."""

    def __init__(self, state, recorder, timekeeper, measuring, loads, supply, ems=None) -> None:
        """Attach the parts; `link` is set by `link_task`, `contactors` by `local_control`."""
        self.link: "MeterLink" = None  # type: ignore - set before anything arrives
        self._state = state
        self._recorder = recorder
        self.timekeeper = timekeeper
        self._measuring = measuring
        self._loads = loads
        self.supply = supply
        self._ems = ems
        self._live = []
        self._refused_ms = None
        self._moves = []
        self.contactors: "Contactors | None" = None
        self.wake = lambda: None

    def handle(self, event: tuple) -> None:
        """Carry out an event of the link."""
        if event[0] == "owner":
            self._owner(event[1])
        else:
            getattr(self, "_" + event[0])(*event[1:])

    def _owner(self, record: bytes) -> None:
        keep_owner(self._recorder.ring, self._state, record, self.link.owner)
        self._tell_owner()

    def _tell_owner(self) -> None:
        tell_owner(self._recorder.ring, self._state, self._recorder.event_now)

    def _entry(self, codes) -> bytes | None:
        utc_s, rows = self._measuring.snapshot(codes)
        return None if rows is None else self._recorder.encode(utc_s, rows)

    def _read(self, epoch: int, command: int, codes) -> None:
        content = self._entry(codes)
        if content is None:
            self.link.answer(epoch, command, _UNKNOWN)
        else:
            self.link.answer(epoch, command, _OK, entry=content)

    def _subscribe(self, epoch: int, command: int, codes, period_s: int, duration_s: int) -> None:
        code = _OK
        if duration_s == 0:
            self._live = [row for row in self._live if row[0] != epoch or row[2] != codes]
        elif not 1 <= period_s <= 3600 or duration_s > 86400:
            code = _OUT_OF_RANGE
        elif len(self._live) >= _MOST_SUBSCRIPTIONS:
            code = _BUSY
        elif self._measuring.snapshot(codes)[1] is None:
            code = _UNKNOWN
        else:
            now_ms = self.timekeeper.uptime_ms()
            end_ms = now_ms + duration_s * 1000
            self._live.append([epoch, command, codes, period_s * 1000, now_ms, end_ms])
        self.link.answer(epoch, command, code)

    def _write(self, epoch: int, command: int, target: int, index: int, value: int, s: int) -> None:
        code = _OK
        if target == _CAPTURE_PERIOD:
            if value == self._measuring.meter.capture_s:
                pass
            elif self._measuring.set_capture_period(value):
                self._recorder.event_now(CONFIGURATION, target)
            else:
                code = _OUT_OF_RANGE
        elif target == _REPORT_SPREAD:
            if value * 1000 == self.link.spread_ms:
                pass
            elif self._measuring.periods.set_spread(value):
                self.link.spread_ms = value * 1000
                self._recorder.event_now(CONFIGURATION, target)
            else:
                code = _OUT_OF_RANGE
        elif target == _LOAD:
            now_ms = self.timekeeper.uptime_ms()
            if self._loads.limit(index, value, s, now_ms):
                self.poll_loads()
            else:
                code = _OUT_OF_RANGE
        else:
            code = _UNKNOWN
        self.link.answer(epoch, command, code)

    def poll_loads(self) -> None:
        """Let limits expire and trip; record what moved."""
        loads = self._loads
        self._moves += loads.poll(self.timekeeper.uptime_ms(), self._measuring.meter.power_w)
        self._measuring.front_end.load_permille = loads.permille()
        if self.contactors is not None:
            self.contactors.set_loads(loads.loads)
        if self._moves:
            self._state.set(items.LOADS, loads.save())
            self._state.save()
        self._record(RELAY_LOAD, self._moves)
        self._record(LIMIT_TRIP, loads.trips)
        self._record(LOCK_OUT, loads.locks)

    def _record(self, code: int, rows: list) -> None:
        self._recorder.drain(rows, lambda *row: self._recorder.event_now(code, *row))

    def _time(self, epoch: int, command: int, utc_ms: int) -> None:
        refused = self.set_clock(utc_ms, False) == "refused"
        if command:
            self.link.answer(epoch, command, _UNSIGNED if refused else _OK)

    def set_first_clock(self, utc_ms: int) -> None:
        """Set a clock that nobody has set, by a word that nobody vouches for; it is recorded."""
        if not self.timekeeper.clock.valid:
            self.timekeeper.set_first(utc_ms)
            self.link.info.clock_state = 1
            self._recorder.status |= STATUS_CLOCK_ADJUSTED
            self._recorder.event_now(CLOCK_SET)
            self._measuring.save()

    def set_clock(self, utc_ms: int, signed: bool) -> str:
        """Set the clock by the rules of `clock`; return the decision, which is recorded."""
        decision, offset_ms = self.timekeeper.set(utc_ms, signed)
        self.link.info.clock_state = int(self.timekeeper.clock.valid)
        if decision in ("first", "stepped"):
            self._recorder.status |= STATUS_CLOCK_ADJUSTED
            if decision == "first":
                self._recorder.event_now(CLOCK_SET)
            else:
                self._recorder.event_now(CLOCK_STEP, offset_ms)
            self._measuring.save()
        elif decision == "refused":
            self.link.count("unsigned")
            now_ms = self.timekeeper.uptime_ms()
            if self._refused_ms is None or now_ms - self._refused_ms >= _REFUSAL_PAUSE_MS:
                self._refused_ms = now_ms
                self._recorder.event_now(CLOCK_REFUSED, offset_ms)
        return decision

    def _order(self, epoch: int, command: int, data: bytes, _signature: bytes) -> None:
        from orders import carry_out  # noqa: PLC0415 - costs heap only when needed

        self.link.answer(epoch, command, carry_out(data, self))

    def keep_supply(self) -> None:
        """Make the supply's state and the counter of orders durable."""
        self._state.set(items.SUPPLY, self.supply.save())
        self._state.save()

    def take_calendar(self, order, utc_s) -> None:
        """Take the calendar of an order; `keep_supply` makes it durable, with the counter.

        Raises:
            RemoteProtocolError: its bytes are none.
        """
        calendars = self._measuring.calendars
        calendars.take(order.calendar, order.counter, order.activates_s, utc_s)

    def record_order(self, order) -> None:
        """Record that an order of the utility is carried out."""
        self._recorder.event_now(ORDER, order.action, order.counter, order.reason)

    def apply_supply(self, reason: int) -> None:
        """Act on the supply's state, which is durable, and record it."""
        self._measuring.set_supply(self.supply.state)
        if self.contactors is not None:
            self.contactors.set_supply(self.supply.state)
        self._recorder.event_now(RELAY_SUPPLY, self.supply.state, reason)

    def local_action(self) -> bool:
        """Close the supply relay by hand, if the utility has made it ready; end lock-outs."""
        if self._loads.unlock():
            self.poll_loads()
        if not self.supply.local_action():
            return False
        self.keep_supply()
        self.apply_supply(0)
        return True

    def _forward(self, epoch: int, command: int, data: bytes) -> None:
        if self._ems is None:
            self.link.answer(epoch, command, _ABSENT)
        else:
            asyncio.create_task(self._hand_over(self._ems, epoch, command, data))

    async def _hand_over(self, ems, epoch: int, command: int, data: bytes) -> None:
        code, reply = _REFUSED, b""
        try:
            code, reply = await ems.forward(data)
        except Exception:
            pass
        self.link.answer(epoch, command, code, data=reply)
        self.wake()

    def poll(self, now_ms: int) -> None:
        """Queue live readings that are due; subscriptions of ended sessions end."""
        self._tell_owner()  # what a lack of memory has left
        for row in list(self._live):
            if now_ms > row[5]:
                self._live.remove(row)
            elif now_ms >= row[4]:
                row[4] += row[3]
                content = self._entry(row[2])
                if content is None or not self.link.live(row[0], row[1], content):
                    self._live.remove(row)
