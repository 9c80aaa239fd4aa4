"""Table II of the reference paper as rules: what each service of a smart meter may take. Pure.

A rule has two ends where the paper gives a range: the loose one is what the service needs, the
strict one is the best that anybody asks for. What is lost is missed, and so is what is late.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

HOUR_S, MINUTE_S = 3600.0, 60.0


class Rule(NamedTuple):
    """A row of the table; limits in seconds, reliabilities in percent of all messages."""

    service: str
    strict_s: float
    loose_s: float
    least_percent: float
    strict_percent: float
    is_above: bool
    """Whether the reliability has to be above the least, or at least the least."""
    is_below: bool = True
    """Whether a delay has to be below the limit, or at most the limit."""


AMI = Rule("AMI", 5, HOUR_S, 99, 99.99, False, False)
"""5 s to hours; the paper does not say how many, so the shortest that `hours` can mean."""
ON_DEMAND = Rule("on-demand reading", 5, 5, 99, 99, True)
MULTI_INTERVAL = Rule("multi-interval reading", 4 * HOUR_S, 4 * HOUR_S, 99, 99, True)
DEMAND_RESPONSE = Rule("demand response", 0.5, MINUTE_S, 99, 99, True, False)
PRICING = Rule("pricing", MINUTE_S, MINUTE_S, 98, 98, True)
G2V = Rule("G2V", 2, 5 * MINUTE_S, 99, 99.99, False, False)
V2G = Rule("V2G", 15, 15, 99, 99.99, False)
RULES = (AMI, ON_DEMAND, MULTI_INTERVAL, DEMAND_RESPONSE, PRICING, G2V, V2G)


class Verdict(NamedTuple):
    """What a distribution is worth against a rule; shares in percent of all that were sent."""

    rule: Rule
    sent: int
    lost: int
    within_loose: float
    within_strict: float
    met: bool
    met_strict: bool | None
    """None: there are too few messages to tell."""


def judge(rule: Rule, delays_s: Sequence[float | None]) -> Verdict:
    """Return the verdict on measured delays in seconds; None is a message that was lost.

    Raises:
        ValueError: nothing was measured, or a delay is no number.
    """
    if not delays_s:
        raise ValueError(f"{rule.service}: nothing was measured")
    if any(one is not None and not one >= 0 for one in delays_s):
        raise ValueError(f"{rule.service}: a delay is no number of seconds")
    loose = _count_within(rule, delays_s, rule.loose_s)
    strict = _count_within(rule, delays_s, rule.strict_s)
    return Verdict(
        rule,
        len(delays_s),
        sum(one is None for one in delays_s),
        100 * loose / len(delays_s),
        100 * strict / len(delays_s),
        _is_reliable(loose, len(delays_s), rule.least_percent, is_above=rule.is_above),
        _judge_strict(rule, strict, len(delays_s)),
    )


def least_count(percent: float) -> int:
    """Return how many messages there must be so that one that is missed is within the share."""
    return math.ceil(round(1 / (1 - percent / 100), 6))


def _count_within(rule: Rule, delays_s: Sequence[float | None], limit_s: float) -> int:
    return sum(
        one is not None and (one < limit_s or (not rule.is_below and one == limit_s))
        for one in delays_s
    )


def _is_reliable(within: int, count: int, percent: float, *, is_above: bool) -> bool:
    """Compare without the rounding of a division."""
    share, needed = within * 100, percent * count
    return share > needed + 1e-6 if is_above else share >= needed - 1e-6


def _judge_strict(rule: Rule, within: int, count: int) -> bool | None:
    met = _is_reliable(within, count, rule.strict_percent, is_above=rule.is_above)
    return None if met and count < least_count(rule.strict_percent) else met
