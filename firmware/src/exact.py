"""Energies of one tick as counters gave them, divided where the tick lies across a boundary.

Each part gets its share of the time, rounded down over all parts so far, the last one the rest: the
parts sum to the whole, to the mJ. Neighbours: `chip_front_end` makes it, `metering` takes it.
"""


class Exact:
    """Import, export and a generator's production in mJ, not negative."""

    def __init__(self, energies_mj: tuple, tick_ms: int, late: bool = False) -> None:
        """Hold the energies of a tick.

        Args:
            energies_mj: (import, export, production).
            tick_ms: length of the tick; the parts that are taken sum to it.
            late: the energy flowed before this tick, so it makes no demand.
        """
        self.energies_mj = energies_mj
        self.late = late
        self._tick_ms = tick_ms
        self._done_ms = 0
        self._given = [0] * len(energies_mj)

    def rewind(self) -> None:
        """Give it all once more, from the first part on."""
        self._done_ms = 0
        for index in range(len(self._given)):
            self._given[index] = 0

    def take(self, part_ms: int) -> list:
        """Return the energies of the next part."""
        self._done_ms += part_ms
        parts = []
        for index, total in enumerate(self.energies_mj):
            until = total
            if self._done_ms < self._tick_ms:
                until = total * self._done_ms // self._tick_ms
            parts.append(until - self._given[index])
            self._given[index] = until
        return parts
