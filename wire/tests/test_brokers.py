"""Which broker a meter uses: the rules of docs/reference/link-v1.md, brokers."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_wire.memory import MemoryMeter
from meter_wire.owner_record import parse_owner_hello, parse_owner_record
from meter_wire.portable import tlv
from meter_wire.portable.brokers import Brokers, split_address
from meter_wire.portable.keys import derive_key, mac16
from meter_wire.portable.owner import parse_signed

FIRST, OTHER, THIRD = "first:8883", "other:8883", "third:8883"
GRACE_S, QUIET_S, REST_S, MOST_REST_S = 20, 60, 60, 960


class World:
    """A meter whose active twin answers on the brokers of `served`; others are dead or dumb."""

    def __init__(self):
        self.meter = MemoryMeter("house-1", bytes(range(32)), random.Random(7).randbytes)
        self.meter.broker = FIRST
        self.meter.send()
        key = derive_key(self.meter.key, "hello", "house-1")
        hello = parse_owner_hello(self.meter.hellos[-1], key)
        self.counter = 1
        self.meter.accept(self.meter.record(1, 1, nonce=hello.nonce))
        self.meter.link.disconnected()
        self.brokers = Brokers(FIRST)
        self.served = {FIRST}
        self.reached = {FIRST, OTHER, THIRD}
        self.holders = {FIRST, OTHER}
        self.up = False
        self.visits = []

    def publish(self, broker, active=2, candidate=0):
        """The operator decides; brokers of `holders` keep the record."""
        self.counter += 1
        self.meter.broker = broker
        self.kept = self.meter.record(self.counter, active, candidate)
        if self.up and self.brokers.at in self.holders:
            self.meter.accept(self.kept)

    def second(self):
        """One second of the shell: open a session, read the record, serve, perhaps leave."""
        meter, brokers, now_ms = self.meter, self.brokers, self.meter.now_ms
        if not self.up and brokers.at in self.reached:
            self.up = True
            self.visits.append((now_ms // 1000, brokers.at))
            if brokers.at in self.holders and hasattr(self, "kept"):
                meter.accept(self.kept)
            meter.link.connected(now_ms)
            brokers.connected(meter.link, now_ms)
        elif not self.up:
            self.visits.append((now_ms // 1000, brokers.at))
            brokers.ended(meter.link)
        if self.up:
            self.serve()
            if brokers.leave(meter.link, now_ms):
                self.lose()
        meter.now_ms += 1000

    def serve(self):
        if self.brokers.at in self.served:
            self.meter.settle()
        else:
            self.meter.send()
            self.meter.up.clear()

    def lose(self):
        self.up = False
        self.meter.link.disconnected()
        self.brokers.ended(self.meter.link)

    def run(self, seconds):
        for _ in range(seconds):
            self.second()


@pytest.fixture
def world():
    made = World()
    made.run(5)
    assert made.meter.link.serves()
    return made


def test_a_meter_starts_at_its_first_broker_whatever_its_record_says(world):
    world.meter.accept(world.meter.record(2, 2))
    assert Brokers(FIRST).at == FIRST


def test_a_record_that_names_another_broker_moves_the_meter_there(world):
    world.served = {OTHER}
    world.publish(OTHER)
    world.run(GRACE_S + 5)
    assert world.brokers.at == OTHER
    assert world.meter.link.serves()
    assert {at for _, at in world.visits} == {FIRST, OTHER}


def test_a_candidate_moves_nobody(world):
    world.served = {OTHER}
    world.publish(OTHER, 1, 2)
    world.lose()
    world.run(300)
    assert world.brokers.at == FIRST


def test_a_meter_whose_active_twin_answers_stays_however_the_broker_is_called(world):
    world.publish("another-name-of-first:8883")
    world.run(300)
    assert world.brokers.at == FIRST
    assert len(world.visits) == 1


def test_a_record_that_is_not_authentic_moves_nobody(world):
    world.served = {OTHER}
    world.meter.broker = OTHER
    forged = bytearray(world.meter.record(9, 2))
    forged[-1] ^= 1
    assert not world.meter.accept(bytes(forged))
    world.run(300)
    assert world.brokers.at == FIRST


def test_the_record_in_flash_moves_nobody_before_it_is_read_again(world):
    world.served = {OTHER}
    world.holders = set()
    world.meter.broker = OTHER
    world.lose()
    world.meter.accept(world.meter.record(2, 2))
    world.meter.link.heard = False
    world.run(300)
    assert world.brokers.at == FIRST
    world.holders = {FIRST}
    world.kept = world.meter.record(2, 2)
    world.lose()
    world.run(GRACE_S + 5)
    assert world.brokers.at == OTHER


def test_a_broker_that_cannot_be_reached_is_left_after_three_tries(world):
    world.reached = {FIRST}
    world.served = set()
    world.publish(OTHER)
    world.run(GRACE_S + 5)
    assert [at for _, at in world.visits] == [FIRST, OTHER, OTHER, OTHER, FIRST]


def test_a_broker_that_says_nothing_valid_is_left_after_three_tries(world):
    world.served = set()
    world.publish(OTHER)
    world.run(GRACE_S + 3 * QUIET_S + 10)
    assert [at for _, at in world.visits] == [FIRST, OTHER, OTHER, OTHER, FIRST]


def test_the_pause_at_the_first_broker_doubles_and_is_bounded_and_it_tries_for_ever(world):
    world.reached = {FIRST}
    world.served = set()
    world.publish(OTHER)
    world.run(6 * MOST_REST_S)
    back = [now for now, at in world.visits if at == FIRST][1:]
    gaps = [later - sooner for sooner, later in itertools.pairwise(back)]
    assert [round(gap, -1) for gap in gaps[:3]] == [REST_S, 2 * REST_S, 4 * REST_S]
    assert MOST_REST_S <= max(gaps) <= MOST_REST_S + 10
    assert world.visits[-1][0] > 6 * MOST_REST_S - MOST_REST_S - 20


def test_while_it_pauses_at_the_first_broker_it_is_served_there(world):
    world.reached = {FIRST}
    world.served = set()
    world.publish(OTHER)
    world.run(GRACE_S + 5)
    world.served = {FIRST}
    world.run(30)
    assert world.meter.link.serves()
    world.run(600)
    assert world.brokers.at == FIRST


def test_a_meter_elsewhere_comes_back_by_a_newer_record(world):
    world.served = {OTHER}
    world.publish(OTHER)
    world.run(GRACE_S + 5)
    world.served = {FIRST}
    world.publish("", active=3)
    world.run(GRACE_S + 5)
    assert world.brokers.at == FIRST
    assert world.meter.link.serves()


def test_an_empty_broker_is_left_out_of_the_record_and_means_the_first(world):
    world.meter.broker = ""
    left_out = world.meter.record(2, 2)
    key = derive_key(world.meter.key, "owner", "house-1")
    assert 7 not in parse_signed(left_out, key, 9)
    assert parse_owner_record(left_out, key).broker == ""
    body = left_out[:-16] + tlv.field(7, b"")
    empty = body + mac16(key, body)
    assert parse_owner_record(empty, key).broker == ""
    for record in (left_out, empty):
        world.meter.link.owner = None
        world.meter.link._nonce = bytes(8)
        signed = record[:-16] + tlv.field(9, bytes(8))
        assert world.meter.accept(signed + mac16(key, signed))
        world.run(300)
        assert world.brokers.at == FIRST
        assert world.meter.link.serves()
    assert len(world.visits) == 1, "a record without a broker ends no session"
    world.served, world.counter = set(), 2
    world.publish("", active=3)
    assert world.meter.link.owner.active == 3
    world.lose()
    world.run(300)
    assert {at for _, at in world.visits} == {FIRST}, "nor when nobody answers there"


def test_a_third_broker_is_reached_from_the_second(world):
    world.served = {OTHER}
    world.publish(OTHER)
    world.run(GRACE_S + 5)
    world.served, world.holders = {THIRD}, {FIRST, OTHER, THIRD}
    world.publish(THIRD, active=3)
    world.run(GRACE_S + 5)
    assert world.brokers.at == THIRD


def test_a_first_broker_that_is_gone_for_good_orphans_nobody(world):
    world.served = {OTHER}
    world.publish(OTHER)
    world.run(GRACE_S + 5)
    world.brokers = Brokers(FIRST)  # a reboot
    world.reached = {OTHER}
    world.up = False
    world.meter.link.disconnected()
    world.run(10)
    assert world.brokers.at == OTHER
    assert world.meter.link.serves()


@given(st.lists(st.tuples(
    st.sampled_from([FIRST, OTHER, THIRD, ""]), st.booleans(),
    st.sets(st.sampled_from([FIRST, OTHER, THIRD])), st.integers(1, 200),
), max_size=6), st.sampled_from([FIRST, OTHER, THIRD]))  # fmt: skip
def test_a_meter_finds_its_twin_wherever_it_is_whatever_came_before(steps, last):
    world = World()
    world.holders = {FIRST, OTHER, THIRD}
    epoch = 1
    for broker, candidate, reached, seconds in steps:
        epoch += 2
        world.reached, world.served = reached, {broker or FIRST}
        if world.up and world.brokers.at not in reached:
            world.lose()
        world.publish(broker, epoch, epoch + 1 if candidate else 0)
        world.run(seconds)
    world.reached = {FIRST, OTHER, THIRD}
    world.served = {last}
    world.publish(last, epoch + 2)
    world.run(MOST_REST_S + 5 * QUIET_S)
    assert world.brokers.at == last
    assert world.meter.link.serves()


def test_a_time_without_any_broker_does_not_prolong_the_pause(world):
    world.served = {OTHER}
    world.publish(OTHER)
    world.run(GRACE_S + 5)
    world.reached = set()
    world.lose()
    world.run(2000)
    world.reached = {FIRST, OTHER, THIRD}
    world.run(REST_S + GRACE_S + 10)
    assert world.brokers.at == OTHER
    assert world.meter.link.serves()


def test_the_spread_of_uploads_is_no_silence(world):
    world.meter.link.spread_ms = 600_000
    spread_s = world.meter.link.spread_delay_ms() // 1000
    assert spread_s > QUIET_S
    world.publish("another-name-of-first:8883")
    world.lose()
    world.run(spread_s + 100)
    assert [at for _, at in world.visits] == [FIRST, FIRST]
    assert world.meter.link.serves()
    world.served = {OTHER}
    world.publish(OTHER, active=3)
    world.run(GRACE_S + spread_s + 10)
    assert world.brokers.at == OTHER
    assert world.meter.link.serves()
    assert [at for _, at in world.visits] == [FIRST, FIRST, OTHER]


def test_an_address_is_host_and_port():
    assert split_address("broker.example:8883") == ("broker.example", 8883)
    assert split_address("[2001:db8::1]:1883") == ("2001:db8::1", 1883)
    for bad in ("broker", "broker:", "broker:x"):
        with pytest.raises(ValueError, match=r"int|unpack"):
            split_address(bad)
