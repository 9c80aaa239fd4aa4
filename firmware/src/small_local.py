"""The small profile's load: a relay that a twin limits, trips, and what moves it without a twin.

Loaded only when `meter.json` has `loads`; one load, decided by `actuators` and `trips` as in the
whole firmware. A limit in watts is judged on the power from the time between two pulses, which is
all that a pulse train tells: no voltage, no frequency. Moves first and records then. Neighbours:
`small`, which calls `poll` each second; `small_inputs` (button); `hal.esp8266_small` (relay).
"""

import os

import state as items
from actuators import Loads

TICKS = 0x3FFFFFFF
LOAD_LIMIT = 5
"""Its place among the kinds of `trips`."""
TIMES = ("min_on_s", "min_off_s", "hold_off_s", "lock_out_trips")
RELAY_LOAD = 8
LIMIT_TRIP = 17
TRIP = 23
LOCK_OUT = 24
OUT_OF_RANGE = 9


class Power:
    """Watts from the time between pulses; without one they sink with the time waited for it."""

    def __init__(self, pulse_uj: int) -> None:
        """Know nothing; `pulse_uj` is what a pulse is worth."""
        self._pulse_mj = pulse_uj // 1000
        self._seen = 0
        self._edge_ms: "int | None" = None
        self._power_w: "int | None" = None

    def poll(self, count: int, edge_ms: int, now_ms: int) -> "int | None":
        """Return the power, None while two pulses have not told it.

        Args:
            count: pulses since boot.
            edge_ms: ticks of the last one.
            now_ms: ticks of this moment.
        """
        pulses, self._seen = count - self._seen, count
        if pulses > 0:
            if self._edge_ms is not None:
                passed_ms = (edge_ms - self._edge_ms) & TICKS
                self._power_w = self._pulse_mj * pulses // max(1, passed_ms)
            self._edge_ms = edge_ms
        elif self._power_w:
            waited_ms = (now_ms - self._edge_ms) & TICKS  # type: ignore - a power has had one
            self._power_w = min(self._power_w, self._pulse_mj // max(1, waited_ms))
        return self._power_w


class Local:
    """One load and its trip; `poll` is all that happens."""

    def __init__(self, meter, board=None) -> None:
        """Bring the relay into the safe state.

        Args:
            meter: see `small.Small`; `loads` and `trips` of its table count.
            board: see `hal.esp8266_small.Board`, None without a relay.
        """
        row = meter.table["loads"][0]
        arguments = [row.get("safe_w"), 0, row.get("release_s", 60)]
        arguments += [row.get(key, 0) for key in TIMES]
        self._meter = meter
        self.loads = Loads([arguments], os.urandom, meter.state.get(items.LOADS))
        self._output = board.output("load0", self.loads.loads[0].closed) if board else None
        self._edge = getattr(board, "edge_ms", None)
        self._power = Power(meter.energy.pulse_uj)
        limit = meter.table.get("trips", {}).get("load_limit")
        self._trip = None
        if limit:
            from trips import Trip  # noqa: PLC0415 - costs heap only when needed

            delay_ms = limit.get("delay_ms", 0)
            self._trip = Trip(LOAD_LIMIT, 0, limit["pick_up_w"], limit["drop_out_w"], delay_ms)
        self._moves = []
        self._trips = []

    def limit(self, index: int, limit_w: int, seconds: int) -> int:
        """Limit the load for a time; return the answer's code."""
        if not self.loads.limit(index, limit_w, seconds, self._meter.uptime_ms()):
            return OUT_OF_RANGE
        self.poll()
        return 0

    def poll(self) -> None:
        """Judge the power, let limits expire, move the relay; then record what there was."""
        meter, loads, trip = self._meter, self.loads, self._trip
        now_ms, ticks = meter.uptime_ms(), meter.ticks()
        count = meter.energy.counted
        edge_ms = self._edge() if self._edge else ticks
        power_w = self._power.poll(count, edge_ms, ticks)
        if trip:
            if trip.poll(power_w, now_ms):
                self._trips.append((LOAD_LIMIT + 1, int(trip.active), 0, trip.extreme))
            loads.protect(0, int(trip.active), now_ms)
        self._moves += loads.poll(now_ms, power_w or 0)
        if self._output:
            self._output(loads.loads[0].closed)
        if self._moves:
            meter.state.set(items.LOADS, loads.save())
            meter.state.save()
        self._tell(RELAY_LOAD, self._moves)
        self._tell(LIMIT_TRIP, loads.trips)
        self._tell(TRIP, self._trips)
        self._tell(LOCK_OUT, loads.locks)

    def _tell(self, code: int, rows: list) -> None:
        """Record rows and remove each that is in the ring: after a failure the rest stays."""
        while rows:
            self._meter.event(code, *rows[0])
            rows.pop(0)
