"""What a link does to packets: the profiles, and when a packet arrives. Pure.

One profile is both a command of `tc netem` and the rule of `link_emulator`, which stands in for it
where the kernel has no netem: delay = `delay_ms` + `jitter_ms` x t, with t from netem's own
distributions, a queue at `rate_kbit`, and loss. Neighbours: `link_emulator` (moves the packets),
`network` (chooses between the two).
"""

import statistics
from collections.abc import Callable
from typing import NamedTuple

MOST_T = 32767 / 8192
"""netem's tables hold t x 8192 in 16 bits."""
QUEUE = 1000
"""Packets; netem's own default."""


class Profile(NamedTuple):
    """A link, the same in both directions; `source` says where its numbers are from."""

    name: str
    delay_ms: float
    jitter_ms: float
    distribution: str
    """`normal` or `pareto`, as iproute2 calls its tables."""
    loss_percent: float
    rate_kbit: int
    source: str


NB_IOT = Profile(
    "NB-IoT", 418, 100, "normal", 0.5, 20,
    "half of 837 ms, taken as a round trip (Ugwuanyi, Paul, Irvine, Electronics 10(18), 2224, 2021)"
    "; rate from 1,000 bits in 4 to 10 units of 8 ms (Afzal, NB-IoT Data Rates and Latency, 2017);"
    " jitter and loss are assumed",
)  # fmt: skip
WIFI = Profile(
    "WiFi", 15, 20, "pareto", 0.1, 20_000,
    "median of the round trip about 20 ms (Pei et al., WiFi can be the weakest link of round trip "
    "network latency in the wild, INFOCOM 2016), with a shorter tail than that campus's 10 % above "
    "100 ms; rate and loss are assumed",
)  # fmt: skip
ZONE = Profile(
    "two hosts of one zone", 0.45, 0.05, "normal", 0, 1_000_000,
    "round trip of 0.908 ms in one Azure zone (Painter, Exploring Azure Network Latency)",
)  # fmt: skip
CLOUDS = Profile(
    "between clouds", 7, 0.5, "normal", 0, 100_000,
    "the middle of 3 to 28 ms round trips within Europe (Azure network round-trip latency "
    "statistics, October 2019)",
)  # fmt: skip


def netem_arguments(profile: Profile) -> list[str]:
    """Return what follows `tc qdisc add dev DEVICE root`."""
    found = ["netem", "limit", str(QUEUE), "delay", f"{profile.delay_ms}ms"]
    if profile.jitter_ms:
        found += [f"{profile.jitter_ms}ms", "distribution", profile.distribution]
    if profile.loss_percent:
        found += ["loss", f"{profile.loss_percent}%"]
    return [*found, "rate", f"{profile.rate_kbit}kbit"]


def find_t(distribution: str, chance: float) -> float:
    """Return the t of netem's distribution at a share of all packets, 0 < `chance` < 1.

    Raises:
        ValueError: the distribution is unknown.
    """
    if distribution == "normal":
        t = statistics.NormalDist().inv_cdf(chance)
    elif distribution == "pareto":  # iproute2, netem/pareto.c: a = 3, moved and stretched
        t = (1 / (1 - chance) ** (1 / 3) - 1.5) * 4 / 3
    else:
        raise ValueError(f"distribution {distribution!r}: is unknown; give normal or pareto")
    return max(-MOST_T, min(MOST_T, t))


class Direction:
    """One direction of a link: packets leave in the order in which they came."""

    def __init__(self, profile: Profile, chance: Callable[[], float]) -> None:
        """`chance` gives shares in [0, 1)."""
        self._profile = profile
        self._chance = chance
        self._busy_until_s = 0.0
        self._last_s = 0.0

    def find_arrival(self, now_s: float, octets: int) -> float | None:
        """Return when a packet that is sent now arrives, None if it is lost."""
        profile = self._profile
        begins_s = max(now_s, self._busy_until_s)
        self._busy_until_s = begins_s + octets * 8 / (profile.rate_kbit * 1000)
        if self._chance() * 100 < profile.loss_percent:
            return None
        t = find_t(profile.distribution, min(max(self._chance(), 1e-9), 1 - 1e-9))
        delay_s = max(0.0, profile.delay_ms + profile.jitter_ms * t) / 1000
        self._last_s = max(self._last_s, self._busy_until_s + delay_s)
        return self._last_s
