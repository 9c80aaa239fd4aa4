"""Power within a quarter hour: shapes that look alive and keep the quarter's energy exactly.

A measured profile says how much energy a quarter hour has. A `Curve` divides it among seconds and
phases: weights are piecewise constant, their integral is scaled so that the whole quarter is the
source's energy to the millijoule, whatever instants it is asked for.
"""

from simulation.prng import Xorshift, mix

QUARTER_S = 900
APPLIANCES_W = (150, 400, 800, 1200, 2000, 2200, 3000)
"""Fridge, television, vacuum cleaner, washing machine, kettle, dishwasher, oven."""


class Curve:
    """Energy of one quarter hour up to any instant, per phase."""

    def __init__(self, energy_mj: int, blocks: list[tuple[int, int, list[int]]]) -> None:
        """Build from the weights.

        Args:
            energy_mj: energy of the whole quarter hour.
            blocks: (begin s, end s, weight of each phase), overlapping as they like; together
                they cover some time with a positive weight.
        """
        self.energy_mj = energy_mj
        self.phases = len(blocks[0][2])
        edges = sorted({edge for block in blocks for edge in block[:2]})
        self.pieces = []
        sums = [0] * self.phases
        for begin, end in zip(edges, edges[1:]):
            rates = [0] * self.phases
            for first, last, weights in blocks:
                if first <= begin and end <= last:
                    for phase in range(self.phases):
                        rates[phase] += weights[phase]
            self.pieces.append((begin * 1000, rates, sums))
            sums = [s + rate * (end - begin) * 1000 for s, rate in zip(sums, rates)]
        self.weight = sum(sums)
        self.sums = sums

    def until(self, within_ms: int) -> list[int]:
        """Return the energy in mJ of each phase from the quarter's begin to `within_ms`."""
        sums = self.sums
        if within_ms < QUARTER_S * 1000:
            for begin_ms, rates, before in self.pieces:
                if begin_ms > within_ms:
                    break
                span_ms = within_ms - begin_ms
                sums = [b + rate * span_ms for b, rate in zip(before, rates)]
        running = done = 0
        energies = []
        for part in sums:
            running += part
            upto = self.energy_mj * running // self.weight
            energies.append(upto - done)
            done = upto
        return energies


def load_curve(seed: int, quarter: int, energy_mj: int, phases: int) -> Curve:
    """Return a household's quarter hour: a wandering base and one to five appliances.

    Args:
        seed: of the household; the same seed and quarter give the same curve.
        quarter: index of the quarter hour.
        energy_mj: its energy; appliances take 25 to 65 % of it, the base the rest.
        phases: 1 or 3; the base is shared unevenly, an appliance has one phase.
    """
    random = Xorshift(mix(seed, quarter))
    shares = [mix(seed, phase, 77) % 60 + 20 for phase in range(phases)]
    base_mw = energy_mj // QUARTER_S * random.between(35, 75) // 100 + 1000
    blocks = []
    for minute in range(15):
        level = base_mw * random.between(90, 110) // 100
        weights = [level * share // sum(shares) + 1 for share in shares]
        blocks.append((minute * 60, minute * 60 + 60, weights))
    left_mj = energy_mj - base_mw * QUARTER_S
    for _ in range(random.between(1, 5)):
        power_mw = APPLIANCES_W[random.below(len(APPLIANCES_W))] * 1000
        part_mj = left_mj * random.between(20, 60) // 100
        length_s = min(part_mj // power_mw, QUARTER_S)
        begin = random.below(QUARTER_S - length_s + 1)
        if length_s < 5:
            continue
        left_mj -= length_s * power_mw
        phase = random.below(phases)
        weights = [power_mw if number == phase else 0 for number in range(phases)]
        blocks.append((begin, begin + length_s, weights))
    return Curve(energy_mj, blocks)


def solar_curve(seed: int, quarter: int, energy_mj: int, phases: int) -> Curve:
    """Return a plant's quarter hour: clouds of 10 to 60 s on some, a nearly clear sky on others.

    Arguments as in `load_curve`; the phases share the power evenly.
    """
    random = Xorshift(mix(seed, quarter, 5))
    depth = (3, 3, 15, 60)[random.below(4)]
    blocks = []
    begin = 0
    while begin < QUARTER_S:
        end = min(QUARTER_S, begin + random.between(10, 60))
        blocks.append((begin, end, [10000 - random.below(depth * 100 + 1)] * phases))
        begin = end
    return Curve(energy_mj, blocks)
