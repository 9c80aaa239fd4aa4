"""Repeatable randomness: a 32-bit xorshift generator and a hash, the same on every port."""


def mix(*numbers: int) -> int:
    """Return 32 well-mixed bits of some integers (the finaliser of MurmurHash3 over each)."""
    state = 0x9E3779B9
    for number in numbers:
        state = (state ^ (number & 0xFFFFFFFF)) * 0x85EBCA6B & 0xFFFFFFFF
        state ^= state >> 13
        state = state * 0xC2B2AE35 & 0xFFFFFFFF
        state ^= state >> 16
    return state


def wander(seed: int, time_ms: int, period_ms: int, amplitude: int) -> int:
    """Return a value within ±`amplitude` that moves smoothly between random points.

    The points lie `period_ms` apart and are joined by straight lines, so the value depends on
    nothing but its arguments.
    """
    index, within = divmod(time_ms, period_ms)
    span = 2 * amplitude + 1
    here = mix(seed, index) % span - amplitude
    there = mix(seed, index + 1) % span - amplitude
    return here + (there - here) * within // period_ms


class Xorshift:
    """Marsaglia's xorshift32."""

    def __init__(self, seed: int) -> None:
        """`seed`: any integer; 0 is replaced, as the generator would stay there."""
        self.state = seed & 0xFFFFFFFF or 0x6D2B79F5

    def below(self, bound: int) -> int:
        """Return an integer from 0 to `bound` - 1."""
        state = self.state
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        self.state = state
        return state % bound

    def between(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        return low + self.below(high - low + 1)
