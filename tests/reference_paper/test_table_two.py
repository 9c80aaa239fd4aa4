"""Table II's pass rules: every row, both sides of each limit, lost is missed."""

import pytest
from table_two import (
    AMI,
    DEMAND_RESPONSE,
    G2V,
    MULTI_INTERVAL,
    ON_DEMAND,
    PRICING,
    RULES,
    V2G,
    Rule,
    judge,
    least_count,
)

LIMITS = [
    ("AMI within hours, at least 99 %", AMI, 3600, 99.0, False),
    ("on-demand reading below 5 s, above 99 %", ON_DEMAND, 5, 99.0, True),
    ("multi-interval reading below 4 h, above 99 %", MULTI_INTERVAL, 14_400, 99.0, True),
    ("demand response within a minute, above 99 %", DEMAND_RESPONSE, 60, 99.0, True),
    ("pricing below a minute, above 98 %", PRICING, 60, 98.0, True),
    ("G2V within 5 minutes, at least 99 %", G2V, 300, 99.0, False),
    ("V2G below 15 s, at least 99 %", V2G, 15, 99.0, False),
]
cases = pytest.mark.parametrize(
    ("rule", "limit_s", "percent", "is_above"),
    [row[1:] for row in LIMITS],
    ids=[row[0] for row in LIMITS],
)


def test_every_row_of_the_table_is_a_rule() -> None:
    assert [row[1] for row in LIMITS] == list(RULES)


@cases
def test_the_limit_of_the_delay(rule: Rule, limit_s: float, percent: float, is_above: bool) -> None:
    del percent, is_above
    assert judge(rule, [limit_s - 0.001] * 1000).met
    assert not judge(rule, [limit_s + 0.001] * 1000).met
    is_included = rule in (AMI, DEMAND_RESPONSE, G2V)
    assert judge(rule, [limit_s] * 1000).met == (is_included and not rule.is_below)


@cases
@pytest.mark.parametrize("missed", ["lost", "late"])
def test_the_limit_of_the_reliability(
    rule: Rule, limit_s: float, percent: float, is_above: bool, missed: str
) -> None:
    bad = None if missed == "lost" else limit_s + 1

    def met(count: int) -> bool:
        return judge(rule, [0.1] * (10_000 - count) + [bad] * count).met

    most = round(10_000 * (100 - percent) / 100)
    assert met(most - 1)
    assert met(most) != is_above
    assert not met(most + 1)


def test_what_is_lost_counts_as_sent() -> None:
    verdict = judge(ON_DEMAND, [1.0, None, 7.0, 2.0])
    assert (verdict.sent, verdict.lost, verdict.within_loose, verdict.met) == (4, 1, 50.0, False)


def test_a_range_has_a_strict_end() -> None:
    verdict = judge(DEMAND_RESPONSE, [0.4] * 60 + [0.5] * 20 + [0.6] * 20)
    assert (verdict.within_strict, verdict.within_loose) == (80.0, 100.0)
    assert (verdict.met, verdict.met_strict) == (True, False)


def test_the_strict_end_needs_enough_messages() -> None:
    assert least_count(99.99) == 10_000
    assert judge(G2V, [1.0] * 9_999).met_strict is None
    assert judge(G2V, [1.0] * 10_000).met_strict is True
    assert judge(G2V, [1.0] * 9_999 + [None]).met_strict is True
    assert judge(G2V, [1.0] * 9_998 + [None] * 2).met_strict is False


def test_too_few_messages_may_still_miss_the_strict_end() -> None:
    assert judge(G2V, [1.0, None]).met_strict is False


@pytest.mark.parametrize("delays", [[], [-0.1], [float("nan")]])
def test_what_is_no_measurement_is_refused(delays: list[float]) -> None:
    with pytest.raises(ValueError, match="AMI"):
        judge(AMI, delays)
