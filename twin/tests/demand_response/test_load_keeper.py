"""A load is held at its limit against a meter that lets each limit expire."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_twin.demand_response.load_keeper import HOLD_S, LoadCommand, LoadKeeper
from meter_twin.demand_response.load_limit import LoadLimit

NOW = 1_800_000_000


class Meter:
    """What the firmware does: the last limit holds for its seconds."""

    def __init__(self):
        self.limit_w, self.until_s, self.commands = None, 0, 0

    def take(self, command, now_s):
        self.limit_w, self.until_s = command.limit_w, now_s + command.seconds
        self.commands += 1

    def at(self, now_s):
        return self.limit_w if now_s < self.until_s else None


def run(wanted_at, seconds, refuses=lambda _: False):
    keeper, meter, seen = LoadKeeper(), Meter(), []
    for now_s in range(NOW, NOW + seconds):
        command = keeper.find_command(wanted_at(now_s), now_s)
        if command is not None and refuses(now_s):
            keeper.failed(now_s)
        elif command is not None:
            meter.take(command, now_s)
            keeper.done(command, now_s)
        seen.append(meter.at(now_s))
    return seen, meter


def during(begins, ends, limit_w=1000):
    def wanted(now_s):
        if not NOW + begins <= now_s < NOW + ends:
            return None
        return LoadLimit(limit_w, NOW + ends, "e")

    return wanted


def test_a_limit_holds_for_a_long_event_with_few_commands():
    seen, meter = run(during(10, 3610), 4000)
    assert seen == [None] * 10 + [1000] * 3600 + [None] * 390
    assert meter.commands <= 13


def test_a_limit_without_an_end_is_renewed():
    seen, meter = run(lambda _: LoadLimit(500, None, "e"), 3600)
    assert seen == [500] * 3600
    assert meter.commands == 12


def test_a_limit_that_is_cancelled_is_lifted():
    full = during(0, 3600)
    seen, _ = run(lambda now_s: full(now_s) if now_s < NOW + 100 else None, 200)
    assert seen[:100] == [1000] * 100
    assert seen[101:] == [None] * 99


def test_a_twin_that_dies_leaves_a_limit_for_ten_minutes_at_most():
    keeper, meter = LoadKeeper(), Meter()
    for now_s in range(NOW, NOW + 1000):
        command = keeper.find_command(LoadLimit(1000, None, "e"), now_s)
        if command:
            meter.take(command, now_s)
            keeper.done(command, now_s)
    assert meter.at(NOW + 1000 + HOLD_S) is None


def test_a_meter_that_does_not_answer_is_told_again_and_not_at_once():
    keeper = LoadKeeper()
    wanted = LoadLimit(1000, None, "e")
    asked = []
    for now_s in range(NOW, NOW + 100):
        if keeper.find_command(wanted, now_s):
            asked.append(now_s - NOW)
            keeper.failed(now_s)
    assert asked == [0, 30, 60, 90]


def test_another_limit_is_told_at_once():
    seen, _ = run(lambda now_s: LoadLimit(1000 if now_s < NOW + 50 else 200, None, "e"), 100)
    assert seen == [1000] * 50 + [200] * 50


def test_nothing_is_said_of_a_load_that_nobody_limits():
    assert LoadKeeper().find_command(None, NOW) is None


@pytest.mark.parametrize("until_s", [1, 2, 599, 600, 601])
def test_a_limit_ends_with_its_event(until_s):
    seen, _ = run(during(0, until_s), until_s + 5)
    assert seen == [1000] * until_s + [None] * 5


PLAN = st.lists(
    st.tuples(st.integers(1, 900), st.one_of(st.none(), st.integers(0, 3))), min_size=1, max_size=6
)


@settings(max_examples=80, deadline=None)
@given(PLAN)
def test_a_meter_always_has_the_limit_that_is_wanted(plan):
    wanted, at = [], 0
    for seconds, limit_w in plan:
        until_s = NOW + at + seconds
        row = None if limit_w is None else LoadLimit(limit_w, until_s, "e")
        wanted += [row] * seconds
        at += seconds
    seen, _ = run(lambda now_s: wanted[now_s - NOW], len(wanted))
    for number, (found, row) in enumerate(zip(seen, wanted, strict=True)):
        lifted = number and wanted[number - 1] is not None and row is None
        assert found == (row.limit_w if row else None) or lifted


def test_what_lifts_a_limit_is_the_same_limit_for_a_second():
    keeper = LoadKeeper()
    keeper.done(LoadCommand(700, 600), NOW)
    assert keeper.is_limited
    assert keeper.find_command(None, NOW + 5) == LoadCommand(700, 1)
