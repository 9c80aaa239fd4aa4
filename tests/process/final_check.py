"""How a fault test ends: log and store must agree entry by entry. Neighbours: `harness`, `oracle`.

The last entry that a kill may have kept out of the log is named at the next start of the firmware.
"""

from collections.abc import Iterable

from harness import World
from oracle import Ledger
from processes import wait_for


def settle(world: World, allowed_reasons: Iterable[int] = (), timeout_s: float = 180) -> Ledger:
    """Kill and start the meter once more, wait until everything is stored, compare."""
    world.firmware.kill()
    world.firmware.start()
    boots = len(world.oracle())
    wait_for(lambda: len(world.oracle()) > boots, "the meter writes again")
    world.wait_stored(timeout_s=timeout_s)
    return world.check(allowed_reasons)
