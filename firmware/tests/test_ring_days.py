"""The days of readings that the whole firmware's ring holds, as configured. See `capacity`."""

import pytest
from capacity import held_s
from config import ConfigError

DAY_S = 86400
QUARTER_S = 900


def test_the_default_ring_holds_ten_days_of_quarter_hours_with_their_events(make):
    config = make().config
    assert held_s(config.ring_bytes, config.ring_segments, QUARTER_S) >= 10 * DAY_S
    assert held_s(262144, config.ring_segments, QUARTER_S) < 10 * DAY_S, "the default before"


def test_a_ring_that_holds_less_than_asked_is_refused_with_what_would_do(make):
    assert make(ring_days=10).config.ring_bytes == 393216
    with pytest.raises(
        ConfigError, match=r"^ring_bytes: 262144 hold 7 days .* give 360448 or more$"
    ):
        make(ring_days=10, ring_bytes=262144)
    assert make(ring_days=10, ring_bytes=360448).config.ring_bytes == 360448
    with pytest.raises(ConfigError, match="hold 17 hours"):
        make(ring_days=1, capture_period_s=60)
    assert make(ring_bytes=262144).config.ring_bytes == 262144, "not asked: the start says it"
