"""The meter's time: uptime that never wraps, UTC by the rules of `clock`, the RTC's offset kept.

UTC after a power cut comes from the real-time clock plus the offset that the last setting found;
without an RTC the meter counts on, flagged, until its twin sets it. An RTC is never written: the
unix port's belongs to the machine, a board's keeps its own count. What a board without one has for
a clock says 2000 after a power cut, and TLS judges certificates by it, so it is told the time.
"""

import struct
import time

import state as items
from meter_wire.portable.clock import Clock, Uptime

_ITEM = ">BqQ"
_EPOCH_S = 946684800 if time.gmtime(0)[0] == 2000 else 0

if hasattr(time, "ticks_ms"):
    ticks_ms = time.ticks_ms  # type: ignore - its own type of integer
else:

    def ticks_ms() -> int:
        """Return milliseconds of a clock that never steps (CPython)."""
        return time.monotonic_ns() // 1000000  # type: ignore


def rtc_ms() -> int:
    """Return what the real-time clock says, in milliseconds since 1970."""
    if hasattr(time, "time_ns"):
        return time.time_ns() // 1000000 + _EPOCH_S * 1000
    return (int(time.time()) + _EPOCH_S) * 1000


class Timekeeper:
    """Uptime and UTC in milliseconds; keeps the offset and the last sign of life in the state."""

    def __init__(
        self, state, has_rtc: bool, rtc_error_ms: int = 0, rtc=rtc_ms, set_board=None
    ) -> None:
        """Take the time from the RTC if there is one.

        Args:
            state: the durable items.
            has_rtc: whether the RTC ran on while the power was down.
            rtc_error_ms: added to what the RTC says (tests: a clock that is wrong).
            rtc: () → milliseconds since 1970.
            set_board: (UTC second) → None, sets the board's clock; not called if that is an RTC.
        """
        self._state = state
        self._set_board = None if has_rtc else set_board
        self._uptime = Uptime(ticks_ms())
        self._rtc = rtc
        self._error_ms = rtc_error_ms
        self._has_rtc = has_rtc
        self.clock = Clock()
        self.is_provisional = False
        self.offset_ms = 0
        self.last_alive_ms = None
        data = state.get(items.CLOCK)
        if len(data) == 17:
            known, self.offset_ms, alive_ms = struct.unpack(_ITEM, data)
            if known:
                self.last_alive_ms = alive_ms
        if has_rtc:
            self.clock.set(self._rtc() + self._error_ms + self.offset_ms, self.uptime_ms(), True)

    def uptime_ms(self) -> int:
        """Return milliseconds since boot."""
        return self._uptime.ms(ticks_ms())

    def utc(self) -> tuple:
        """Return (UTC second or None while the clock is invalid, millisecond)."""
        utc_ms = self.clock.utc_ms(self.uptime_ms())
        return (None, 0) if utc_ms is None else (utc_ms // 1000, utc_ms % 1000)

    def judging_utc_s(self) -> "int | None":
        """Return the UTC second by which a signature's term is judged, None if nobody vouches."""
        return None if self.is_provisional else self.utc()[0]

    def set_first(self, utc_ms: int) -> None:
        """Apply a time of somebody whose word is not authentic; only a clock that is invalid.

        The next `set` may move it by any amount.
        """
        if not self.clock.valid:
            self.clock.set(utc_ms, self.uptime_ms(), False)
            self.is_provisional = True
            self.tell_board()

    def set(self, utc_ms: int, signed: bool) -> tuple:
        """Judge and apply a time; return (decision, offset in ms) of `Clock.set`."""
        free = signed or self.is_provisional
        decision, offset_ms = self.clock.set(utc_ms, self.uptime_ms(), free)
        self.is_provisional = False
        if decision != "refused" and self._has_rtc:
            self.offset_ms = utc_ms - self._rtc() - self._error_ms
        self.tell_board()
        return decision, offset_ms

    def tell_board(self, find_least_s=int) -> None:
        """Set the clock by which TLS judges certificates: UTC, or without it what has passed.

        Args:
            find_least_s: () → a UTC second that has passed. So has that of the last sign of life.
        """
        if self._set_board is None:
            return
        utc_s = self.utc()[0]
        if utc_s is None:
            utc_s = max(find_least_s(), (self.last_alive_ms or 0) // 1000)
            if utc_s <= self._rtc() // 1000:
                return
        self._set_board(utc_s)

    def keep(self) -> None:
        """Put offset and sign of life into the state; the caller saves it."""
        utc_ms = self.clock.utc_ms(self.uptime_ms())
        if utc_ms is None:
            data = struct.pack(_ITEM, 0, self.offset_ms, 0)
        else:
            data = struct.pack(_ITEM, 1, self.offset_ms, utc_ms)
        self._state.set(items.CLOCK, data)
