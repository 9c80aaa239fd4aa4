"""Whatever twin, grid and household do in whatever order: what holds for a load at every moment."""

import itertools

from actuators import HOLD_S, MAX_LIMIT_S, POWER_RETURN, Loads
from hypothesis import given
from hypothesis import strategies as st

MS = 1000
HOUR_MS = 3600 * MS
NOTHING_W = 0

times = st.fixed_dictionaries(
    {
        "safe_w": st.sampled_from([None, 0, 1000]),
        "release_s": st.sampled_from([0, 30]),
        "min_on_s": st.sampled_from([0, 1, 60, 300]),
        "min_off_s": st.sampled_from([0, 1, 60, 300]),
        "hold_off_s": st.sampled_from([0, 45, 600]),
        "lock_out_trips": st.sampled_from([0, 1, 3]),
    }
)
action = st.one_of(
    st.tuples(
        st.just("limit"), st.sampled_from([0, 1, 999, 9000]), st.sampled_from([1, 10, 90, 600])
    ),
    st.tuples(st.just("protect"), st.sampled_from([0, 1, 5])),
    st.tuples(st.just("power"), st.sampled_from([0, 500, 1001, 20000])),
    st.tuples(st.just("unlock")),
    st.tuples(st.just("wait"), st.integers(1, 400 * MS)),
)
actions = st.lists(action, max_size=60)
octets = st.integers(0, 2**24 - 1)


class Play:
    """A load that is polled once a second, as by its task, and what it did."""

    def __init__(self, row, kept=b"", draw=0):
        self.row = row
        self.draw = draw
        keys = ("safe_w", "release_s", "min_on_s", "min_off_s", "hold_off_s", "lock_out_trips")
        arguments = [row[key] for key in keys]
        rows = [(arguments[0], 300, *arguments[1:])]
        self.loads = Loads(rows, lambda n: self.draw.to_bytes(n, "big"), kept)
        self.load = self.loads.loads[0]
        self.now_ms = 0
        self.power_w = 0
        self.moves = []
        """(uptime, closed, held open by protection) of each move after the power return."""
        self.poll()

    def poll(self):
        for _, closed, reason in self.loads.poll(self.now_ms, self.power_w):
            if self.now_ms or reason != POWER_RETURN:
                self.moves.append((self.now_ms, closed, bool(self.load.protected)))

    def wait(self, ms):
        while ms > 0:
            part = min(ms, MS)
            self.now_ms += part
            ms -= part
            self.poll()

    def do(self, row):
        if row[0] == "limit":
            assert self.loads.limit(0, row[1], row[2], self.now_ms)
        elif row[0] == "protect":
            self.loads.protect(0, row[1], self.now_ms)
        elif row[0] == "power":
            self.power_w = row[1]
        elif row[0] == "unlock":
            self.loads.unlock()
        else:
            self.wait(row[1])
            return
        self.poll()

    def play(self, rows):
        for row in rows:
            self.do(row)
        return self


def pairs(play, first_closed):
    """Return (earlier, later) of neighbouring moves of which the earlier closed, or opened."""
    rows = play.moves
    return [pair for pair in itertools.pairwise(rows) if pair[0][1] == first_closed]


@given(times, actions, octets)
def test_a_load_never_closes_within_its_minimum_off_time(row, rows, draw):
    play = Play(row, draw=draw).play(rows)
    for opened, closed in pairs(play, 0):
        assert closed[0] - opened[0] >= row["min_off_s"] * MS
    first = next((move for move in play.moves if move[1]), None)
    if first is not None and not Play(row).load.closed:
        assert first[0] >= max(row["min_off_s"], row["hold_off_s"]) * MS


@given(times, actions, octets)
def test_only_protection_opens_a_load_within_its_minimum_on_time(row, rows, draw):
    play = Play(row, draw=draw).play(rows)
    for closed, opened in pairs(play, 1):
        assert opened[2] or opened[0] - closed[0] >= row["min_on_s"] * MS


@given(times, actions, octets)
def test_the_minimum_off_time_bounds_the_moves_of_every_hour(row, rows, draw):
    play = Play(row, draw=draw).play(rows)
    if not row["min_off_s"]:
        return
    most = 2 * (3600 // row["min_off_s"] + 1)
    for at_ms, _, _ in play.moves:
        within = [move for move in play.moves if at_ms <= move[0] < at_ms + HOUR_MS]
        assert len(within) <= most


@given(times, actions, octets)
def test_when_all_is_quiet_a_load_comes_back_to_its_safe_state(row, rows, draw):
    play = Play(row, draw=draw).play(rows)
    play.power_w = NOTHING_W
    play.do(("protect", 0))
    play.do(("unlock",))
    longest_s = max(row["min_on_s"], row["min_off_s"], row["hold_off_s"])
    longest_s = max(longest_s, 600 + row["release_s"], HOLD_S + row["release_s"])
    play.wait((longest_s + 1) * MS)
    assert play.load.closed == (row["safe_w"] is None or row["safe_w"] > 0)
    assert play.load.limit_w == row["safe_w"]


@given(times, actions, octets)
def test_the_power_return_brings_the_safe_state_after_any_sequence(row, rows, draw):
    before = Play(row, draw=draw).play(rows)
    again = Play(row, before.loads.save(), draw)
    held_s = max(row["min_off_s"], row["hold_off_s"])
    safe = row["safe_w"] is None or row["safe_w"] > 0
    assert again.load.limit_w == row["safe_w"]
    assert again.load.closed == (safe and not held_s)
    again.wait(held_s * MS)
    assert again.load.closed == safe


@given(times, actions, octets, st.sampled_from([1, 60, MAX_LIMIT_S]))
def test_a_limit_ends_after_its_seconds_and_its_spread_whatever_was_before(
    row, rows, draw, seconds
):
    play = Play(row, draw=draw).play(rows)
    play.loads.limit(0, 500, seconds, play.now_ms)
    end_ms = play.now_ms + (seconds + row["release_s"]) * MS
    play.loads.poll(end_ms, NOTHING_W)
    assert play.load.limit_w == row["safe_w"]


@given(times, actions, octets)
def test_an_event_tells_every_move_and_nothing_else(row, rows, draw):
    play = Play(row, draw=draw)
    closed = play.load.closed
    for one in rows:
        before = len(play.moves)
        play.do(one)
        for _, now_closed, _ in play.moves[before:]:
            assert bool(now_closed) != closed
            closed = bool(now_closed)
        assert play.load.closed == closed
