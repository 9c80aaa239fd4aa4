"""The street's supply: frequency and voltage behind impedance, moved by everybody's load."""

from simulation.household import Household
from simulation.prng import wander

NOMINAL_MV = 230000
SOURCE_MV = 233000
FEEDER_MOHM = 80
SERVICE_MOHM = 120
BUSBAR_MOHM = 10
"""Resistances, phase to neutral: shared line, own service cable, transformer (feeder's meter)."""
GRID_SEED = 50
"""The same in every meter, as there is one grid."""


def frequency_mhz(position_ms: int) -> int:
    """Return the frequency, wandering within 40 mHz around 50 Hz."""
    slow = wander(GRID_SEED, position_ms, 900000, 20)
    middle = wander(GRID_SEED + 1, position_ms, 60000, 15)
    return 50000 + slow + middle + wander(GRID_SEED + 2, position_ms, 10000, 5)


def neighbours_w(neighbours: list[Household], position_ms: int) -> list[int]:
    """Return the smooth net power of the neighbours on each line of the feeder."""
    lines_mw = [0, 0, 0]
    for house in neighbours:
        power_mw = house.mean_mw(position_ms)
        if house.phases == 1:
            lines_mw[house.line - 1] += power_mw
        else:
            lines_mw = [line + power_mw // 3 for line in lines_mw]
    return [line // 1000 for line in lines_mw]


def voltage_mv(position_ms: int, line: int, own_w: int, others_w: int, *, busbar: bool) -> int:
    """Return the RMS voltage of a line at a meter.

    Args:
        position_ms: position in the profile's time.
        line: 0 to 2.
        own_w: net power behind the meter, negative when exporting.
        others_w: net power of the neighbours on the line.
        busbar: whether the meter sits at the transformer instead of a house.
    """
    source = SOURCE_MV + wander(GRID_SEED + 3, position_ms, 1800000, 1500)
    source += wander(GRID_SEED + 4 + line, position_ms, 5000, 200)
    if busbar:
        drop = BUSBAR_MOHM * own_w
    else:
        drop = FEEDER_MOHM * (own_w + others_w) + SERVICE_MOHM * own_w
    return max(0, source - drop * 1000 // NOMINAL_MV)
