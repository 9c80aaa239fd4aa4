"""Minimum times protect what is behind a load; trips lock it out. Both Pythons."""

from actuators import (
    COMMAND,
    EXPIRED,
    LIMIT,
    LOCAL_ACTION,
    POWER_RETURN,
    PROTECTION,
    Loads,
)

MINUTE_MS = 60000


def no_spread(length):
    return bytes(length)


def full_spread(length):
    return b"\xff" * length


def make(kept=b"", safe_w=None, random=no_spread, release_s=0, **times):
    row = (safe_w, 300, release_s)
    for name in ("min_on_s", "min_off_s", "hold_off_s", "lock_out_trips"):
        row += (times.get(name, 0),)
    return Loads([row], random, kept)


def test_a_limit_does_not_open_a_load_before_its_minimum_on_time_is_over():
    loads = make(min_on_s=120)
    loads.limit(0, 0, 600, 0)
    assert loads.poll(0, 500) == []
    assert loads.poll(119999, 500) == []
    assert loads.poll(120000, 500) == [(0, 0, COMMAND)]


def test_a_limit_that_ends_within_the_minimum_on_time_moves_nothing():
    loads = make(min_on_s=120)
    loads.limit(0, 0, 60, 0)
    for now_ms in range(0, 300000, 1000):
        assert loads.poll(now_ms, 500) == []


def test_a_load_closes_when_its_minimum_off_time_is_over_however_short_the_limit_was():
    loads = make(kept=b"\x01", min_off_s=300)
    assert loads.poll(0, 0) == [(0, 0, POWER_RETURN)]
    assert loads.poll(300000, 0) == [(0, 1, POWER_RETURN)]
    loads.limit(0, 0, 10, 400000)
    assert loads.poll(400000, 0) == [(0, 0, COMMAND)]
    assert loads.poll(410000, 0) == []
    loads.limit(0, 9000, 10, 420000)
    assert loads.poll(699999, 0) == [], "a limit that would close it has to wait too"
    assert loads.poll(700000, 0) == [(0, 1, EXPIRED)]


def test_after_the_power_return_the_longer_of_hold_off_and_minimum_off_time_counts():
    for hold_s, off_s, ms in ((90, 0, 90000), (90, 300, 300000), (400, 300, 400000)):
        loads = make(kept=b"\x01", hold_off_s=hold_s, min_off_s=off_s)
        assert loads.poll(0, 0) == [(0, 0, POWER_RETURN)]
        assert loads.poll(ms - 1, 0) == []
        assert loads.poll(ms, 0) == [(0, 1, POWER_RETURN)]


def test_what_is_open_in_its_safe_state_closes_for_a_limit_only_after_the_hold_off():
    loads = make(kept=b"\x00", safe_w=0, hold_off_s=60)
    loads.limit(0, 1000, 600, 10000)
    assert loads.poll(59999, 0) == []
    assert loads.poll(60000, 0) == [(0, 1, COMMAND)]


def test_a_load_that_draws_too_much_is_not_stopped_within_its_minimum_on_time():
    loads = make(safe_w=1000, min_on_s=120)
    assert loads.poll(119999, 5000) == []
    assert loads.trips == []
    assert loads.poll(120000, 5000) == [(0, 0, LIMIT)]
    assert loads.trips == [(5000, 1000)]


def test_protection_opens_at_once_and_holds_while_any_source_lasts():
    loads = make(min_on_s=120, min_off_s=60)
    loads.poll(60000, 0)
    loads.protect(0, 3, 61000)
    assert loads.poll(61000, 0) == [(0, 0, PROTECTION)]
    loads.limit(0, 9000, 600, 62000)
    loads.protect(0, 2, 200000)
    assert loads.poll(200000, 0) == [], "no limit and no minimum time closes it"
    loads.protect(0, 0, 300000)
    assert loads.poll(300000, 0) == [(0, 1, PROTECTION)]


def test_protection_within_the_minimum_off_time_closes_no_sooner():
    loads = make(min_off_s=300)
    loads.poll(300000, 0)
    loads.protect(0, 1, 400000)
    loads.poll(400000, 0)
    loads.protect(0, 0, 460000)
    assert loads.poll(699999, 0) == []
    assert loads.poll(700000, 0) == [(0, 1, PROTECTION)]


def test_the_release_after_protection_is_spread_at_random():
    loads = make(random=full_spread, release_s=60)
    loads.protect(0, 1, 0)
    loads.poll(0, 0)
    loads.protect(0, 0, 60000)
    release_ms = 60000 + 0xFFFFFF % 60001
    assert loads.poll(release_ms - 1, 0) == []
    assert loads.poll(release_ms, 0) == [(0, 1, PROTECTION)]


def trip(loads, now_ms):
    loads.protect(0, 1, now_ms)
    loads.poll(now_ms, 0)
    loads.protect(0, 0, now_ms + MINUTE_MS)
    loads.poll(now_ms + MINUTE_MS, 0)


def test_as_many_trips_as_configured_within_an_hour_lock_a_load_open():
    loads = make(lock_out_trips=3)
    for number in (0, 1):
        trip(loads, number * 10 * MINUTE_MS)
        assert loads.loads[0].closed
    trip(loads, 59 * MINUTE_MS)
    assert loads.locks == [(0, 1)]
    assert loads.poll(100 * 60 * MINUTE_MS, 0) == []
    loads.limit(0, 9000, 60, 100 * 60 * MINUTE_MS)
    assert loads.poll(100 * 60 * MINUTE_MS, 0) == [], "no limit ends it"


def test_trips_over_more_than_an_hour_lock_nothing():
    loads = make(lock_out_trips=3)
    for number in range(10):
        trip(loads, number * 30 * MINUTE_MS)
        assert loads.loads[0].closed
    assert loads.locks == []


def test_old_trips_are_forgotten_and_new_ones_lock_all_the_same():
    loads = make(lock_out_trips=3)
    for minute in (0, 100, 200, 300, 400, 410):
        trip(loads, minute * MINUTE_MS)
        assert loads.loads[0].closed
    trip(loads, 420 * MINUTE_MS)
    assert loads.locks == [(0, 1)]


def test_one_trip_can_lock_if_so_configured_and_none_does_unless():
    loads = make(lock_out_trips=1)
    trip(loads, 0)
    assert not loads.loads[0].closed
    loads = make()
    for number in range(30):
        trip(loads, number * 2 * MINUTE_MS)
        assert loads.loads[0].closed


def test_the_local_action_ends_a_lock_out_and_the_count_begins_anew():
    loads = make(lock_out_trips=2)
    trip(loads, 0)
    trip(loads, 2 * MINUTE_MS)
    assert loads.unlock()
    assert loads.locks == [(0, 1), (0, 0)]
    assert loads.poll(4 * MINUTE_MS, 0) == [(0, 1, LOCAL_ACTION)]
    assert not loads.unlock()
    trip(loads, 6 * MINUTE_MS)
    assert loads.loads[0].closed


def test_the_limit_of_the_safe_state_counts_towards_the_lock_out():
    loads = make(safe_w=1000, lock_out_trips=2)
    assert loads.poll(0, 1001) == [(0, 0, LIMIT)]
    assert loads.poll(MINUTE_MS, 0) == [(0, 1, EXPIRED)]
    assert loads.poll(MINUTE_MS + 1, 1001) == [(0, 0, LIMIT)]
    assert loads.locks == [(0, 1)]
    assert loads.poll(10 * MINUTE_MS, 0) == []


def test_a_twin_cannot_lock_a_load_out():
    loads = make(lock_out_trips=2)
    now_ms = 0
    for _ in range(10):
        loads.limit(0, 1, 10, now_ms)
        assert loads.poll(now_ms, 500) == [(0, 0, LIMIT)]
        now_ms += 10000
        assert loads.poll(now_ms, 0) == [(0, 1, EXPIRED)]
    assert loads.locks == []


def test_the_power_return_ends_a_lock_out():
    loads = make(lock_out_trips=1)
    trip(loads, 0)
    again = make(kept=loads.save(), lock_out_trips=1)
    assert again.poll(0, 0) == [(0, 1, POWER_RETURN)]
