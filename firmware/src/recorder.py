"""Writes readings and events into the ring: their times, their status bits, the oracle's log.

Neighbours: `ring` and `oracle_log` below; `measuring`, `link_task` and `main` write through it.
"""

from event_codes import RING_OVERFLOW
from meter_wire.portable import entry


class Recorder:
    """Makes entries; bits of `status` go into the next reading, those of `fault` into each."""

    def __init__(self, ring, timekeeper, boot: int, oracle=None, on_entry=None) -> None:
        """Attach a ring.

        Args:
            ring: see `ring.Ring`.
            timekeeper: see `timekeeper.Timekeeper`.
            boot: number of this boot.
            oracle: see `oracle_log.Oracle`, None without.
            on_entry: () → None after each entry.
        """
        self.ring = ring
        self.status = 0
        self.sticky = 0
        self.fault = 0
        self._timekeeper = timekeeper
        self._boot = boot
        self._oracle = oracle
        self.on_entry = on_entry
        self._is_telling = False
        if oracle is not None:
            oracle.begin(ring.incarnation, ring.head, ring.read(ring.head))

    def _status(self, utc_s) -> int:
        if utc_s is None:
            return self.sticky | entry.STATUS_CLOCK_INVALID | entry.STATUS_COUNTED_ON
        return self.sticky

    def encode(self, utc_s, rows, status: int = 0) -> bytes:
        """Return a reading; rows are (OBIS octets, value, time or None) of `Meter.snapshot`."""
        return entry.encode_reading(
            status | self.fault | self._status(utc_s),
            utc_s or 0,
            self._timekeeper.uptime_ms() // 1000,
            self._boot,
            [entry.encode_register(code, value, at_s) for code, value, at_s in rows],
        )

    def reading(self, utc_s, rows) -> int:
        """Record a reading stamped with the end of its interval; return its number."""
        seq = self._append(self.encode(utc_s, rows, self.status))
        self.status = 0
        return seq

    def event(self, code: int, utc_s, *arguments) -> int:
        """Record an event that began at `utc_s` (None: no valid clock); return its number."""
        content = entry.encode_event(
            self._status(utc_s),
            utc_s or 0,
            self._timekeeper.uptime_ms() // 1000,
            self._boot,
            code,
            list(arguments),
        )
        return self._append(content)

    def event_now(self, code: int, *arguments) -> int:
        """Record an event of this moment."""
        return self.event(code, self._timekeeper.utc()[0], *arguments)

    def drain(self, rows: list, write) -> None:
        """Call `write(*row)` with each row and remove it; after a failure the rest stays.

        A row whose entry is in the ring is removed, whatever failed after it: never twice.
        """
        while rows:
            head = self.ring.head
            try:
                write(*rows[0])
            except Exception:
                if self.ring.head != head:
                    rows.pop(0)
                raise
            rows.pop(0)

    def _append(self, content: bytes) -> int:
        seq = self.ring.append(content)
        if self._oracle is not None:
            self._oracle.write("append", self.ring.incarnation, seq, content)
        if self.ring.lost != self.ring.told and not self._is_telling:
            self._tell_overflow()
        if self.on_entry is not None:
            self.on_entry()
        return seq

    def _tell_overflow(self) -> None:
        """Tell what was overwritten, and what that event has overwritten itself."""
        ring = self.ring
        self._is_telling = True
        try:
            while ring.lost != ring.told:
                lost = ring.lost
                self.event_now(RING_OVERFLOW, lost)
                ring.told = lost
        finally:
            self._is_telling = False
