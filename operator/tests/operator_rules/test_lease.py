"""Who leads: one process at a time, and in a term that no twin has outlived."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from meter_operator import hellos
from meter_operator.lease import Lease, LeaseLostError
from meter_operator.memory_cluster import MemoryCluster
from meter_operator.observed import parse_state
from meter_wire.names import MAX_EPOCH

NAMESPACE = "metertwin"


class Clock:
    """Monotonic seconds, and a wall that may be wrong."""

    def __init__(self):
        self.now_s = 1000.0
        self.wrong_s = 0

    def __call__(self):
        return self.now_s

    def wall(self):
        return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=self.now_s + self.wrong_s)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cluster():
    return MemoryCluster()


def make(cluster, clock, holder):
    return Lease(cluster, NAMESPACE, holder, clock=clock, now=clock.wall)


async def test_a_leader_that_was_away_ends_though_the_next_one_gave_the_lease_up(cluster, clock):
    first, second = make(cluster, clock, "first"), make(cluster, clock, "second")
    assert await first._try()
    clock.now_s += 100
    assert await second._try()
    await second.release()
    with pytest.raises(LeaseLostError):
        await first.confirm()
    assert first.term == 1


async def test_a_leader_ends_when_its_lease_was_taken_by_one_whose_clock_is_behind(cluster, clock):
    first, second = make(cluster, clock, "first"), make(cluster, clock, "second")
    assert await first._try()
    clock.wrong_s = -86_400
    assert not await second._try()  # it has to see the record stand still
    clock.now_s += 100
    assert await second._try()
    clock.wrong_s = 0
    with pytest.raises(LeaseLostError):
        await first.confirm()


async def test_a_term_rises_above_one_that_a_twin_remembers(cluster, clock):
    lease = make(cluster, clock, "first")
    assert await lease._try()
    lease.raise_above(7)
    assert await lease._try()
    assert lease.term == 8
    assert await lease._try()
    assert lease.term == 8


async def test_a_new_term_is_told(cluster, clock, monkeypatch):
    monkeypatch.setattr("meter_operator.lease.RETRY_S", 0.001)
    lease = make(cluster, clock, "first")
    assert await lease._try()
    told = asyncio.Queue()
    keeping = asyncio.create_task(lease.keep(told.put))
    lease.raise_above(7)
    async with asyncio.timeout(5):
        assert await told.get() == 8
    keeping.cancel()


@pytest.mark.parametrize(
    ("theirs", "raised"),
    [
        pytest.param((3, 9), [], id="ours is no reason"),
        pytest.param((4, 1), [4], id="one above ours is"),
        pytest.param((3, 10), [3], id="ours with a counter that we have not come to is"),
        pytest.param((2, 10), [], id="a counter of an older term is not"),
        pytest.param(
            (3 + hellos.TERMS_AHEAD, 1),
            [3 + hellos.TERMS_AHEAD],
            id="as far as a backup may be behind",
        ),
        pytest.param(
            (4 + hellos.TERMS_AHEAD, 1), [], id="what no restored cluster explains is not"
        ),
    ],
)
def test_a_term_that_a_twin_remembers_counts_within_bounds(theirs, raised):
    told = []
    hellos.TermWitness(told.append).hear(theirs, (3, 9), 0.0)
    assert told == raised


def test_twins_raise_the_term_once_in_ten_seconds():
    told = []
    witness = hellos.TermWitness(told.append)
    for now_s in (0.0, 9.9, 10.0):
        witness.hear((5, 1), (3, 9), now_s)
    assert told == [5, 5]


@pytest.mark.parametrize("value", ["7", 7.0, -1, True, None, MAX_EPOCH + 1])
def test_a_term_that_is_no_number_is_none(value):
    import json

    state = parse_state(1, json.dumps({"term": value, "counter": value}).encode())
    assert (state.term, state.counter) == (0, 0)
