"""How many are let in at once, and how often something may be wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_archive.gate import Allowance, Gate
from meter_archive.refusal import Refusal
from meter_archive.token_identity import network_of


def test_one_more_than_the_gate_holds_is_told_to_come_again():
    gate = Gate(2, 9)
    with gate.enter(), gate.enter():
        with pytest.raises(Refusal) as refused, gate.enter():
            pass
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
    with gate.enter(), gate.enter():
        pass


def test_one_asker_leaves_room_for_the_others():
    gate = Gate(9, 1)
    with gate.enter_as("a"), gate.enter_as("b"):
        with pytest.raises(Refusal) as refused, gate.enter_as("a"):
            pass
        assert (refused.value.status, refused.value.who) == (429, "a")
    with gate.enter_as("a"):
        pass


def test_a_question_that_failed_has_left_the_gate():
    gate = Gate(1, 1)
    for _ in range(2):
        with pytest.raises(KeyError), gate.enter(), gate.enter_as("a"):
            raise KeyError
    assert not gate._each


def test_what_was_spent_comes_back_one_after_the_other():
    allowance = Allowance(2, 60, 10)
    assert [allowance.spend("a", 0) for _ in range(3)] == [True, True, False]
    assert allowance.is_left("b", 0)
    assert not allowance.is_left("a", 29)
    assert allowance.spend("a", 30)
    assert not allowance.spend("a", 30)


@given(st.lists(st.tuples(st.text(max_size=2), st.floats(-5, 5)), max_size=200))
def test_memory_is_bounded_whoever_comes_and_whatever_the_clock_does(moves):
    allowance, now_s = Allowance(3, 60, 5), 0.0
    for key, step_s in moves:
        now_s += step_s
        allowance.spend(key, now_s)
    assert len(allowance._spent) <= 5
    assert all(0 <= spent <= 3 for spent, _ in allowance._spent.values())


def test_a_host_with_many_addresses_of_ipv6_is_one():
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2") != network_of("2001:db9::1")
    assert network_of("::ffff:10.0.0.1") != network_of("::ffff:10.0.0.2")
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert network_of("10.0.0.1") == "10.0.0.1"
    assert network_of("") == ""
