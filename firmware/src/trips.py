"""Trips: a load is opened while voltage, frequency, current or power lies beyond a threshold.

No I/O: samples and time come in, beginnings and ends go out. Each kind is off unless configured,
acts on one load and never on the supply. It begins when the value has been beyond `pick_up` and
not back at `drop_out` for `delay_ms` (as a relay's start element resets, IEC 60255-151), and
ends at `drop_out`, after a minute at the earliest: opening a load takes the cause of an
overcurrent away, which proves nothing. **No protection function** in the sense of IEC 60255: it
judges the mean of a metering tick, by one processor and one measuring chip, and nobody has tested
its times. Neighbours: `local_control` (calls it), `actuators` (opens the load), `trip_kinds`.
"""

SIGNS = (1, -1, 1, -1, 1, 1)
"""Of each of `trip_kinds.KINDS`: 1 if above the threshold is wrong, -1 if below."""
HOLD_MS = 60000
LOST_MS = 60000
"""A trip ends when its quantity was not measured for so long: a limit without a measurement."""


class Trip:
    """One kind on one load; levels are values times the sign of the kind, so above is wrong."""

    def __init__(self, kind: int, load: int, pick_up: int, drop_out: int, delay_ms: int) -> None:
        """`kind`: place in `trip_kinds`; `pick_up`, `drop_out`: in its unit."""
        self.kind = kind
        self.load = load
        self.active = False
        self._sign = sign = SIGNS[kind]
        self._pick_up = pick_up * sign
        self._drop_out = drop_out * sign
        self._delay_ms = delay_ms
        self._since_ms: "int | None" = None
        self._seen_ms = 0
        self._extreme = 0

    @property
    def extreme(self) -> int:
        """Return the worst value since it was beyond `pick_up`, in the unit of the kind."""
        return self._extreme * self._sign

    def poll(self, value: "int | None", now_ms: int) -> bool:
        """Judge a value, None if it is not measured; return whether the trip begins or ends."""
        if value is None:
            return self._miss(now_ms)
        self._seen_ms = now_ms
        level = value * self._sign
        if self._since_ms is None:
            if level <= self._pick_up:
                return False
            self._since_ms = now_ms
            self._extreme = level
        self._extreme = max(self._extreme, level)
        passed_ms = now_ms - self._since_ms
        if self.active:
            return level <= self._drop_out and passed_ms >= HOLD_MS and self._end()
        if level <= self._drop_out:
            self._since_ms = None
        elif passed_ms >= self._delay_ms:
            self.active = True
            self._since_ms = now_ms
            return True
        return False

    def _miss(self, now_ms: int) -> bool:
        if self.active:
            return now_ms - self._seen_ms >= LOST_MS and self._end()
        self._since_ms = None
        return False

    def _end(self) -> bool:
        self.active = False
        self._since_ms = None
        return True


def quantities(frequency_mhz: "int | None", phases: list) -> tuple:
    """Return the value of each of `trip_kinds`, None for what is not measured.

    A frequency or voltage of 0 is none: a chip without that quantity, or a phase without supply,
    which is an interruption and no low voltage.

    Args:
        frequency_mhz: of the sample.
        phases: (P W, Q var, U mV, I mA) each; any may be None.
    """
    frequency_mhz = frequency_mhz or None
    voltages = [phase[2] for phase in phases if phase[2]]
    currents = [phase[3] for phase in phases if phase[3] is not None]
    powers = [phase[0] for phase in phases]
    return (
        max(voltages) if voltages else None,
        min(voltages) if voltages else None,
        frequency_mhz,
        frequency_mhz,
        max(currents) if currents else None,
        sum(powers) if powers and None not in powers else None,
    )


class Trips:
    """All trips of a meter."""

    def __init__(self, rows) -> None:
        """`rows`: arguments of `Trip` each."""
        self.trips = [Trip(*row) for row in rows]

    def poll(self, values: tuple, now_ms: int) -> list:
        """Judge `quantities`; return (kind's number, began, load, extreme) of what began or ended.

        Args:
            values: of one sample.
            now_ms: uptime of the sample.
        """
        events = []
        for trip in self.trips:
            if trip.poll(values[trip.kind], now_ms):
                events.append((trip.kind + 1, int(trip.active), trip.load, trip.extreme))
        return events

    def sources(self, load: int) -> int:
        """Return the kinds that hold a load open now, a bit each."""
        bits = 0
        for trip in self.trips:
            if trip.active and trip.load == load:
                bits |= 1 << trip.kind
        return bits
