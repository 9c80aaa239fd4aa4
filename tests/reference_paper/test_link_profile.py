"""What a link does to packets, and that netem would be told the same."""

import itertools
import random
import statistics

import pytest
from link_profile import NB_IOT, WIFI, ZONE, Direction, Profile, find_t, netem_arguments

FAST = Profile("fast", 10, 0, "normal", 0, 8_000_000, "")


def test_a_profile_is_a_command_of_netem() -> None:
    said = " ".join(netem_arguments(NB_IOT))
    assert said == ("netem limit 1000 delay 418ms 100ms distribution normal loss 0.5% rate 20kbit")
    assert netem_arguments(FAST) == [
        "netem",
        "limit",
        "1000",
        "delay",
        "10ms",
        "rate",
        "8000000kbit",
    ]


@pytest.mark.parametrize(
    ("distribution", "chance", "t"),
    [
        ("normal", 0.5, 0.0),
        ("normal", 0.975, 1.96),
        ("normal", 1 - 1e-9, 4.0),
        ("pareto", 1e-9, -0.667),
        ("pareto", 0.5, -0.32),
        ("pareto", 0.9, 0.873),
        ("pareto", 1 - 1e-9, 4.0),
    ],
)
def test_the_distributions_are_those_of_netem(distribution: str, chance: float, t: float) -> None:
    assert find_t(distribution, chance) == pytest.approx(t, abs=0.002)


def test_an_unknown_distribution_is_named() -> None:
    with pytest.raises(ValueError, match="'cauchy'"):
        find_t("cauchy", 0.5)


def test_a_packet_arrives_after_its_bits_and_the_delay() -> None:
    slow = Profile("slow", 400, 0, "normal", 0, 20, "")
    direction = Direction(slow, lambda: 0.5)
    assert direction.find_arrival(100.0, 250) == pytest.approx(100.5)
    assert direction.find_arrival(100.0, 250) == pytest.approx(100.6)
    assert direction.find_arrival(200.0, 25) == pytest.approx(200.41)


def test_packets_arrive_in_the_order_in_which_they_were_sent() -> None:
    direction = Direction(WIFI, random.Random(1).random)
    found = [direction.find_arrival(number / 1000, 100) for number in range(5000)]
    arrivals = [one for one in found if one is not None]
    assert all(first <= second for first, second in itertools.pairwise(arrivals))


def test_so_many_packets_are_lost_and_those_late_that_the_profile_says() -> None:
    direction = Direction(NB_IOT._replace(rate_kbit=10**9, loss_percent=5), random.Random(1).random)
    found = [direction.find_arrival(number * 10.0, 100) for number in range(5000)]
    assert 0.04 < found.count(None) / 5000 < 0.06
    delays = [at - number * 10.0 for number, at in enumerate(found) if at is not None]
    assert statistics.mean(delays) == pytest.approx(0.418, abs=0.005)
    assert statistics.stdev(delays) == pytest.approx(0.1, rel=0.1)


def test_no_packet_arrives_before_it_was_sent() -> None:
    direction = Direction(ZONE._replace(jitter_ms=50), random.Random(1).random)
    for number in range(200):
        arrived = direction.find_arrival(number * 1.0, 0)
        assert arrived is not None
        assert arrived >= number
