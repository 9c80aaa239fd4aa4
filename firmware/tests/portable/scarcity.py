# ruff: noqa: SIM105 - MicroPython has no others
"""Plays one story again and again, each time with a MemoryError at another place of it.

Both profiles are tried so: `test_memory_errors.py` and `test_small_kept.py` have the stories.
"""

from flash_with_cuts import Medium


class ScarceMedium(Medium):
    """Has no memory for one of its operations."""

    scarce_at = None
    was_scarce = False

    def spend(self):
        if self.operations == self.scarce_at:
            self.operations += 1
            self.was_scarce = True
            raise MemoryError
        return super().spend()


class ScarceLooks:
    """A meter on a `ScarceMedium` that has no memory for one of its looks at the time."""

    scarce_look = None
    looks = 0

    def look_at_time(self):
        self.looks += 1
        if self.looks == self.scarce_look:
            self.medium.was_scarce = True
            raise MemoryError


def go_on(work):
    """Do it, or not: a task goes on after a MemoryError."""
    try:
        work()
    except MemoryError:
        pass


def sweep_writes(make, check):
    """Have memory lack in each write of a meter that `make()` makes; return how many there are.

    After each `check(meter, what play() returned, place)` judges.
    """

    def spoil(meter, place):
        meter.medium.scarce_at = meter.medium.operations + place

    return _sweep(make, spoil, check)


def sweep_looks(make, check, stride=1):
    """Have memory lack at each look at the time, or each `stride`th; as `sweep_writes`."""

    def spoil(meter, place):
        meter.looks = 0
        meter.scarce_look = place * stride + 1

    return _sweep(make, spoil, check)


def _sweep(make, spoil, check):
    place = 0
    while True:
        meter = make()
        spoil(meter, place)
        found = meter.play()
        if not meter.medium.was_scarce:
            return place
        check(meter, found, place)
        place += 1
