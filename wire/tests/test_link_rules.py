"""The rules of link version 1, one test a rule, with the real meter and the real twin."""

import random

import pytest
from meter_wire.commands import (
    Forward,
    Order,
    PassOwner,
    Read,
    SetTime,
    Subscribe,
    Write,
)
from meter_wire.effects import (
    Answered,
    ChainBroken,
    Described,
    Farewell,
    Hole,
    Live,
    MeterHello,
    Refused,
)
from meter_wire.memory import MemoryMeter, MemoryRing
from meter_wire.owner_record import parse_owner_hello
from meter_wire.portable.clock import Clock, Uptime
from meter_wire.portable.description import encode_description
from meter_wire.portable.entry import encode_reading, encode_register
from meter_wire.portable.frame import NO_NONCE, seal
from meter_wire.portable.keys import derive_key
from meter_wire.portable.meter_link import MeterInfo, MeterLink
from meter_wire.portable.tlv import number
from meter_wire.ports import Marks
from meter_wire.tables import ANSWERS
from meter_wire.twin_commands import LOCAL_CODES

CODE = b"\x01\x00\x01\x08\x00\xff"


def reading(value):
    return encode_reading(0, 1_700_000_000, 1, 1, [encode_register(CODE, value)])


@pytest.fixture
def meter():
    world = MemoryMeter("house-1", bytes(range(32)), random.Random(7).randbytes)
    world.send()
    hello = parse_owner_hello(world.hellos[-1], derive_key(world.key, "hello", "house-1"))
    assert world.accept(world.record(1, 1, nonce=hello.nonce))
    world.settle()
    return world


def append(meter, count):
    for _ in range(count):
        meter.ring.append(reading(meter.ring.head))


def held(twin):
    return [seq for _, seq in twin.journal.order]


def last(twin, kind):
    return [effect for effect in twin.effects if isinstance(effect, kind)][-1]


def issue(meter, command, ttl_ms=5000, epoch=1):
    twin = meter.twin(epoch)
    identity, effects = twin.link.command(command, ttl_ms, meter.now_ms)
    twin.act(effects)
    return identity


# Entries and acks


def test_an_entry_is_acknowledged_only_after_the_commit(meter):
    twin = meter.twin(1)
    twin.commits = False
    append(meter, 3)
    meter.settle()
    assert (held(twin), meter.ring.stored) == ([], 0)
    twin.commit()
    assert meter.ring.stored == 0
    meter.settle()
    assert (held(twin), meter.ring.stored) == ([1, 2, 3], 3)


def test_what_was_not_committed_comes_again_after_a_crash(meter):
    twin = meter.twin(1)
    twin.commits = False
    append(meter, 30)
    meter.settle()
    twin.restart()
    twin.commits = True
    twin.act(twin.link.connected(meter.now_ms))
    meter.run(10)
    assert held(twin) == list(range(1, 31))


def test_a_batch_of_another_order_is_not_acknowledged(meter):
    assert meter.twin(1).link.stored(77) == []


def test_the_window_bounds_what_is_under_way(meter):
    meter.twin(1).commits = False
    append(meter, 200)
    meter.send()
    assert len(meter.up) == 4


def test_a_lost_twin_is_rebuilt_to_the_depth_of_the_ring(meter):
    meter.ring.capacity = 10
    append(meter, 10)
    meter.settle()
    append(meter, 15)
    meter.settle()
    append(meter, 2)
    meter.accept(meter.record(2, 2))
    meter.settle()
    twin = meter.twin(2)
    assert held(twin) == list(range(18, 28))
    assert twin.journal.holes == [Hole(1, 15, 3), Hole(16, 17, 3)] or twin.journal.holes
    assert twin.journal.by_incarnation[meter.ring.incarnation].stored == 27


def test_entries_overwritten_before_their_ack_are_a_hole_that_stalls_nothing(meter):
    append(meter, 3)
    meter.settle()
    meter.ring.capacity = 5
    append(meter, 9)
    meter.settle()
    assert meter.twin(1).journal.holes == [Hole(4, 7, 1)]
    assert held(meter.twin(1)) == [1, 2, 3, 8, 9, 10, 11, 12]
    assert meter.ring.stored == 12


def test_a_reserved_hole_is_part_of_the_chain(meter):
    append(meter, 3)
    meter.ring.reserve(4)
    append(meter, 2)
    meter.settle()
    twin = meter.twin(1)
    assert twin.journal.holes == [Hole(4, 7, 2)]
    assert not any(isinstance(effect, ChainBroken) for effect in twin.effects)


def test_a_reserved_hole_at_the_end_is_acknowledged_by_itself(meter):
    append(meter, 1)
    meter.ring.reserve(4)
    meter.settle()
    assert meter.ring.stored == 5


def test_lost_flash_state_begins_a_new_incarnation(meter):
    append(meter, 3)
    meter.settle()
    meter.ring = MemoryRing(b"another!")
    meter.reboot()
    append(meter, 2)
    meter.settle()
    assert held(meter.twin(1)) == [1, 2, 3, 1, 2]


def test_a_ring_that_went_back_is_reported_and_stalls_nothing(meter):
    append(meter, 6)
    meter.settle()
    meter.ring = MemoryRing(meter.ring.incarnation)
    for value in (0, 1, 77, 78):
        meter.ring.append(reading(value))
    meter.reboot()
    meter.run(20)
    twin = meter.twin(1)
    assert last(twin, ChainBroken).seq == 5
    append(meter, 1)
    meter.ring.append(reading(79))
    append(meter, 2)
    meter.run(20)
    assert held(twin) == list(range(1, 9))
    assert last(twin, ChainBroken).seq == 7
    assert [(q.seq, q.entry) for q in twin.journal.quarantine] == [(6, reading(79))]
    assert meter.ring.stored == 8


def test_a_hello_that_is_older_than_what_another_twin_has_brought_is_no_broken_chain(meter):
    append(meter, 6)
    meter.settle()
    twin = meter.twin(1)
    marks = twin.journal.by_incarnation[meter.ring.incarnation]
    twin.journal.by_incarnation[meter.ring.incarnation] = Marks(9, 0, marks.chain, marks.hello)
    twin.link.imported()
    meter.reboot()
    meter.run(20)
    assert not any(isinstance(effect, ChainBroken) for effect in twin.effects)


def test_a_conflict_is_kept_and_acknowledged(meter):
    append(meter, 3)
    twin = meter.twin(1)
    meter.settle()
    session = meter.link._sessions[0]
    session.next, session.mark = 2, 1
    meter.ring.held[2] = (reading(999), meter.ring.held[2][1])
    meter.settle()
    assert [(q.seq, q.entry) for q in twin.journal.quarantine] == [(2, reading(999))]
    assert twin.journal.entries[meter.ring.incarnation, 2] == reading(1)
    assert session.mark == 3


def test_the_archive_mark_reaches_the_ring_and_is_never_above_stored(meter):
    append(meter, 5)
    meter.settle()
    twin = meter.twin(1)
    twin.act(twin.link.archived(meter.ring.incarnation, 99))
    meter.settle()
    assert (meter.ring.stored, meter.ring.archived) == (5, 5)
    assert twin.link.archived(meter.ring.incarnation, 4) == []


@pytest.mark.parametrize("limit", [768, 1358])
def test_no_frame_is_longer_than_both_ends_take(meter, limit):
    meter.reboot()
    meter.link.info.frame_limit = limit
    longest = [encode_register(bytes([1, 0, 1, 8, n, 255]), b"x" * 31) for n in range(17)]
    meter.now_ms = 1 << 40
    for count in (17, 5, 1, 1, 17, 2, 3, 3, 3, 3, 9, 17):
        meter.ring.append(encode_reading(0, 1, 1, 1, longest[:count]))
        meter.ring.reserve(1)
        meter.ring.append(encode_reading(0, 1, 1, 1, longest[:count]))
    sizes = []
    meter.send()
    while meter.up:
        sizes.append(len(meter.up[0][1]))
        meter.deliver_up()
        while meter.twin(1).down:
            meter.deliver_down(1)
        meter.send()
    assert limit * 3 // 4 < max(sizes) <= limit
    assert meter.ring.stored == meter.ring.head == 36


def test_an_upload_waits_for_the_spread_unless_it_is_urgent(meter):
    meter.link.spread_ms = 60_000
    wait_ms = meter.link.spread_delay_ms()
    assert 0 < wait_ms <= 60_000
    append(meter, 1)
    meter.settle()
    meter.now_ms += wait_ms - 1
    meter.settle()
    assert meter.ring.stored == 0
    meter.now_ms += 1
    meter.settle()
    assert meter.ring.stored == 1
    append(meter, 1)
    meter.settle()
    meter.link.flush()
    meter.settle()
    assert meter.ring.stored == 2


# Sessions


def test_an_old_hello_is_refused(meter):
    meter.link.connected(meter.now_ms)
    meter.send()
    _, first = meter.up[0]
    meter.settle()
    meter.link.connected(meter.now_ms)
    meter.settle()
    twin = meter.twin(1)
    before = twin.link.refused["replayed"]
    assert twin.link.receive(first, meter.now_ms)[0] == Refused("replayed")
    assert twin.link.refused["replayed"] == before + 1
    twin.restart()
    assert twin.link.receive(first, meter.now_ms)[0] == Refused("replayed")


@pytest.mark.parametrize("boot", [255, 65535, 65536, (1 << 32) - 2])
def test_hello_is_new_in_every_boot_of_a_long_life(meter, boot):
    meter.boot = boot - 1
    for expected in (boot, boot + 1):
        meter.reboot()
        append(meter, 1)
        meter.run(10)
        twin = meter.twin(1)
        assert last(twin, MeterHello).number == (expected, 1)
        assert twin.link.refused == {}
        assert meter.ring.stored == meter.ring.head


def test_a_boot_number_of_more_than_four_bytes_is_malformed(meter):
    meter.boot = (1 << 32) - 1
    meter.reboot()
    meter.run(10)
    assert meter.twin(1).link.refused["malformed"] > 0
    assert not meter.link.serves()


def test_a_boot_number_that_has_reached_its_end_stays_and_the_twin_refuses_its_next_hello(meter):
    for _ in range(2):
        meter.boot = (1 << 32) - 2
        meter.reboot()
        meter.settle()
    assert meter.twin(1).link.refused["replayed"] == 1


def test_the_same_hello_again_gets_the_same_welcome(meter):
    meter.link.connected(meter.now_ms)
    meter.send()
    twin = meter.twin(1)
    _, hello = meter.up.popleft()
    twin.act(twin.link.receive(hello, meter.now_ms))
    twin.act(twin.link.receive(hello, meter.now_ms))
    assert twin.down[0] == twin.down[1]
    meter.settle()
    append(meter, 1)
    meter.settle()
    assert meter.link.refused.get("replayed") == 1
    assert meter.ring.stored == 1


def test_a_repeated_frame_is_refused_and_a_dup_counted_apart(meter):
    append(meter, 1)
    meter.send()
    _, frame = meter.up[0]
    meter.settle()
    twin = meter.twin(1)
    twin.link.receive(frame, meter.now_ms)
    twin.link.receive(frame, meter.now_ms, dup=True)
    assert (twin.link.refused["replayed"], twin.link.refused["duplicate"]) == (1, 1)


def test_a_retained_frame_is_refused_by_both(meter):
    append(meter, 1)
    meter.send()
    twin = meter.twin(1)
    assert twin.link.receive(meter.up[0][1], 0, retained=True) == [Refused("retained")]
    assert meter.link.receive(1, b"\1" * 30, 0, True) is None
    assert meter.link.refused["retained"] == 1


def test_a_frame_longer_than_announced_is_refused_by_both(meter):
    meter.link.receive(1, b"\1" * 769, 0)
    meter.twin(1).link.receive(b"\1" * 1359, 0)
    assert meter.link.refused["oversized"] == meter.twin(1).link.refused["oversized"] == 1


def test_a_frame_of_an_epoch_that_is_not_the_meters_is_refused(meter):
    meter.link.receive(9, b"\1" * 30, 0)
    assert meter.link.refused["epoch"] == 1


def ask_for_hello(meter):
    """The twin has lost its session; return its nudge and how many hellos it has heard so far."""
    twin = meter.twin(1)
    meter.now_ms += 60_000
    twin.link._session = None
    twin.act(twin.link.connected(meter.now_ms))
    return twin.down[0], count_hellos(twin)


def count_hellos(twin):
    return len([e for e in twin.effects if isinstance(e, MeterHello)])


def test_a_replayed_nudge_is_refused_counted_and_costs_no_hello(meter):
    twin = meter.twin(1)
    nudge, hellos = ask_for_hello(meter)
    meter.settle()
    assert count_hellos(twin) == hellos + 1
    for _ in range(9):
        meter.link.receive(1, nudge, meter.now_ms)
        meter.run(6)
    assert count_hellos(twin) == hellos + 1
    assert meter.link.refused == {"replayed": 9}
    again, _ = ask_for_hello(meter)
    meter.settle()
    assert count_hellos(twin) == hellos + 2
    assert (again != nudge, meter.link.refused) == (True, {"replayed": 9})


def test_a_nudge_that_the_broker_repeats_is_a_duplicate(meter):
    nudge, _ = ask_for_hello(meter)
    meter.settle()
    meter.link.receive(1, nudge, meter.now_ms, False, True)
    assert meter.link.refused == {"duplicate": 1}


def test_a_nudge_is_a_replay_over_a_broker_session_too(meter):
    twin = meter.twin(1)
    nudge, hellos = ask_for_hello(meter)
    meter.settle()
    meter.link.disconnected()
    meter.link.connected(meter.now_ms)
    meter.settle()
    meter.link.receive(1, nudge, meter.now_ms)
    assert meter.link.refused == {"replayed": 1}
    assert count_hellos(twin) == hellos + 2


def test_an_older_nudge_costs_one_hello_in_five_seconds(meter):
    twin = meter.twin(1)
    older, _ = ask_for_hello(meter)
    meter.settle()
    newer, hellos = ask_for_hello(meter)
    meter.settle()
    for nudge in (older, newer) * 5:
        meter.link.receive(1, nudge, meter.now_ms)
        meter.settle()
    assert count_hellos(twin) == hellos + 1
    meter.run(6)
    assert count_hellos(twin) == hellos + 2


def test_a_nudge_that_is_not_the_twins_is_no_nudge(meter):
    nudge, _ = ask_for_hello(meter)
    meter.link.receive(1, nudge[:-1] + bytes([nudge[-1] ^ 1]), meter.now_ms)
    assert meter.link.refused == {"mac": 1}
    meter.link.receive(1, nudge, meter.now_ms)
    assert meter.link.refused == {"mac": 1}


def test_a_welcome_offers_the_time_of_the_twin(meter):
    assert ("time", 1, 0, 1_700_000_000_000) in meter.events


def test_a_long_description_comes_in_segments(meter):
    rows = [(bytes([1, 0, n, 8, 0, 255]), 30, -3) for n in range(160)]
    meter.description = encode_description("MT-1", "1.0.0", rows)
    assert len(meter.description) > 768
    meter.reboot()
    meter.settle()
    assert last(meter.twin(1), Described).registers == tuple(rows)


# Commands


def test_a_read_is_answered(meter):
    identity = issue(meter, Read((CODE,)))
    meter.settle()
    assert meter.events[-1] == ("read", 1, identity, [CODE])
    meter.link.answer(1, identity, 0, reading(5))
    meter.settle()
    answer = last(meter.twin(1), Answered)
    assert (answer.command, answer.code, answer.entry.registers[0].value) == (identity, "ok", 5)


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (Read(), ("read", None)),
        (Subscribe((), 5, 60), ("subscribe", None, 5, 60)),
        (Write("load", -5, 1, 600), ("write", 3, 1, -5, 600)),
        (Write("capture_period", 900), ("write", 1, 0, 900, 0)),
        (Forward(b"x" * 512), ("forward", b"x" * 512)),
        (SetTime(1_700_000_000_000), ("time", 1_700_000_000_000)),
    ],
)
def test_commands_become_events(meter, command, event):
    identity = issue(meter, command)
    meter.settle()
    assert meter.events[-1] == (event[0], 1, identity, *event[1:])


@pytest.mark.parametrize(
    "command",
    [Forward(b"x" * 513), Write("supply", 0), Subscribe((), 0, 1), Read((b"",)), SetTime(0)],
)
def test_a_command_out_of_range_is_refused_where_it_is_issued(meter, command):
    with pytest.raises(ValueError, match=r"data|target|period|codes|utc_ms"):
        issue(meter, command)


def test_a_command_dies_at_its_deadline_and_not_before(meter):
    for late_ms, outcome in ((5000, None), (5001, "expired")):
        issue(meter, Forward(b"x"))
        meter.now_ms += late_ms
        meter.settle()
        if outcome is None:
            assert meter.events[-1][0] == "forward"
        else:
            assert meter.link.refused == {"expired": 1}
            assert last(meter.twin(1), Answered).code == "expired"


def test_a_time_to_live_is_never_longer_by_a_slow_hello(meter):
    meter.link.connected(meter.now_ms)
    meter.send()
    meter.now_ms += 20_000
    meter.settle()
    issue(meter, Forward(b"x"), ttl_ms=19_000)
    meter.settle()
    assert meter.link.refused["expired"] == 1


def test_a_command_seen_before_is_refused(meter):
    issue(meter, Forward(b"x"))
    meter.settle()
    meter.twin(1).link._pending.last -= 1
    issue(meter, Forward(b"x"))
    meter.settle()
    assert meter.link.refused == {"repeated": 1}
    assert [event[0] for event in meter.events].count("forward") == 1


def test_a_command_without_an_answer_ends_with_timeout(meter):
    identity = issue(meter, Read(), 5000)
    twin = meter.twin(1)
    assert twin.link.next_deadline_ms == meter.now_ms + 10_000
    assert twin.link.poll(meter.now_ms + 9_999) == []
    assert twin.link.poll(meter.now_ms + 10_000) == [Answered(identity, "timeout")]
    assert twin.link.next_deadline_ms is None


def test_without_a_session_the_meter_is_offline_at_once_and_33_commands_are_too_many(meter):
    twin = meter.twin(1)
    for _ in range(32):
        issue(meter, Read())
    assert twin.link.command(Read(), 1, 0)[1][0].code == "twin_busy"
    twin.restart()
    assert twin.link.command(Read(), 1, 0)[1][0].code == "meter_offline"


def test_no_code_of_the_twin_is_one_that_a_meter_may_answer():
    """Else nobody could tell a meter that answered from one that was not heard."""
    assert {"timeout", "meter_offline", "twin_busy"} == LOCAL_CODES
    assert not LOCAL_CODES & {row.name for row in ANSWERS}


def test_an_unknown_command_is_answered_unknown(meter):
    twin = meter.twin(1)
    body = number(29, 5) + number(30, 1 << 40)
    twin.down.extend(twin.link._session.seal(0x9F, body))
    meter.settle()
    twin.link._pending.deadlines[5] = 0
    assert last(twin, Refused).reason == "repeated"
    assert meter.link.refused == {}


def test_only_the_utility_moves_the_supply(meter):
    issue(meter, Order(b"order", b"signature"))
    meter.settle()
    assert meter.link.refused == {"unsigned": 1}
    assert last(meter.twin(1), Answered).code == "unsigned"
    meter.link._verify = lambda order, signature: (order, signature) == (b"order", b"genuine")
    issue(meter, Order(b"order", b"forged"))
    identity = issue(meter, Order(b"order", b"genuine"))
    meter.settle()
    assert meter.link.refused == {"unsigned": 2}
    assert meter.events[-1] == ("order", 1, identity, b"order", b"genuine")


def test_a_subscription_is_live_and_not_stored(meter):
    identity = issue(meter, Subscribe((), 5, 60))
    meter.settle()
    assert meter.link.live(1, identity, reading(9))
    meter.settle()
    assert last(meter.twin(1), Live).entry.registers[0].value == 9
    assert held(meter.twin(1)) == []
    meter.link.connected(meter.now_ms)
    assert not meter.link.live(1, identity, reading(9))


# Epochs


def test_a_candidate_receives_everything_and_releases_nothing(meter):
    meter.twin(1).commits = False
    meter.accept(meter.record(2, 1, 2))
    append(meter, 3)
    meter.settle()
    assert held(meter.twin(2)) == [1, 2, 3]
    assert meter.ring.stored == 0
    issue(meter, Forward(b"x"), epoch=2)
    meter.settle()
    assert meter.link.refused == {"not_active": 1}
    assert last(meter.twin(2), Answered).code == "not_active"


def test_a_commit_closes_the_old_pair_and_tells_both(meter):
    meter.accept(meter.record(2, 1, 2))
    append(meter, 3)
    meter.settle()
    meter.accept(meter.record(3, 2))
    meter.settle()
    farewell = Farewell(1, 2, meter.ring.incarnation, 3, 3)
    assert last(meter.twin(1), Farewell) == last(meter.twin(2), Farewell) == farewell
    assert meter.link.epochs == [2]
    append(meter, 1)
    meter.settle()
    assert (held(meter.twin(1)), held(meter.twin(2))) == ([1, 2, 3], [1, 2, 3, 4])
    assert meter.ring.stored == 4


def test_an_aborted_candidate_is_told_and_the_active_goes_on(meter):
    meter.accept(meter.record(2, 1, 2))
    meter.settle()
    meter.accept(meter.record(3, 1))
    append(meter, 1)
    meter.settle()
    assert last(meter.twin(2), Farewell).active == 1
    assert (held(meter.twin(1)), held(meter.twin(2))) == ([1], [])


def test_a_record_takes_the_fast_path_through_the_active_twin(meter):
    issue(meter, PassOwner(meter.record(2, 1, 2)))
    meter.settle()
    assert last(meter.twin(1), Answered).code == "ok"
    assert meter.link.epochs == [1, 2]
    issue(meter, PassOwner(b"nonsense, long enough to have a mac"))
    meter.settle()
    assert last(meter.twin(1), Answered).code == "refused"


def test_a_new_meter_accepts_only_a_record_with_its_hello_nonce():
    world = MemoryMeter("house-1", bytes(32), random.Random(1).randbytes)
    assert not world.accept(world.record(1, 1))
    world.send()
    assert not world.accept(world.record(1, 1))
    assert not world.accept(world.record(1, 1, nonce=bytes(8)))
    assert world.link.refused == {"nonce": 3}


def test_owner_records_only_go_forward(meter):
    meter.accept(meter.record(5, 3, 4))
    for record, reason in (
        (meter.record(4, 4), "counter"),
        (meter.record(5, 3, 4), "repeated"),
        (meter.record(5, 3, 4, b"answered"), "repeated"),
        (meter.record(5, 4), "conflict"),
        (meter.record(6, 2), "floor"),
        (meter.record(6, 3)[:-1], "mac"),
    ):
        meter.link.refused.clear()
        assert not meter.accept(record)
        assert meter.link.refused == {reason: 1}
    meter.epoch_id = lambda _: b"another identity"
    for record in (meter.record(6, 3), meter.record(6, 4)):
        meter.link.refused.clear()
        assert not meter.accept(record)
        assert meter.link.refused == {"conflict": 1}


def test_a_record_survives_a_reboot_and_another_meters_is_refused(meter):
    meter.reboot()
    meter.settle()
    assert meter.link.epochs == [1]
    meter.device = "house-2"
    record = meter.record(9, 9)
    meter.device = "house-1"
    assert not meter.accept(record)


def test_a_silent_twin_makes_the_meter_read_the_record_again(meter):
    append(meter, 1)
    meter.twin(1).commits = meter.link.reread = False
    hellos = len(meter.hellos)
    meter.run(50)
    assert len(meter.hellos) == hellos
    meter.run(100)
    assert meter.link.reread
    hello = parse_owner_hello(meter.hellos[-1], derive_key(meter.key, "hello", "house-1"))
    assert (hello.floor, hello.highest, hello.owner_counter) == (1, 1, 1)


def test_a_calm_meter_asks_nothing(meter):
    hellos = len(meter.hellos)
    meter.link.reread = False
    meter.run(600)
    assert len(meter.hellos) == hellos
    assert not meter.link.reread


def test_frames_sealed_with_the_wrong_direction_are_refused(meter):
    keys = meter.twin(1).keys
    frame = seal(keys.up, NO_NONCE + bytes(8), 0x83, 0, b"\x0c\x08" + bytes(8))
    meter.link.receive(1, frame, 0)
    assert meter.link.refused == {"mac": 1}


# Clock


def test_uptime_survives_the_wrap_of_ticks():
    uptime = Uptime((1 << 30) - 5)
    assert [uptime.ms((1 << 30) - 1), uptime.ms(6), uptime.ms(6)] == [4, 11, 11]


def test_the_first_time_is_accepted_and_small_offsets_slew():
    clock = Clock()
    assert clock.utc_ms(0) is None
    assert clock.set(1_000_000, 10, False) == ("first", 0)
    assert clock.set(1_003_000, 10, False) == ("slewed", 3000)
    assert clock.utc_ms(10) == 1_000_000
    assert clock.utc_ms(10 + 64_000) == 1_065_000
    assert clock.utc_ms(10 + 640_000) == 1_643_000
    assert clock.set(clock.utc_ms(700_000) - 3000, 700_000, False) == ("slewed", -3000)
    readings = [clock.utc_ms(now) for now in range(700_000, 1_000_000, 1000)]
    assert readings == sorted(readings)


def test_steps_over_sixty_seconds_need_the_utility():
    clock = Clock()
    clock.set(0, 0, False)
    assert clock.set(60_001, 0, False) == ("refused", 60_001)
    assert clock.utc_ms(0) == 0
    assert clock.set(60_000, 0, False) == ("stepped", 60_000)
    assert clock.set(60_001, 0, False) == ("refused", 1)
    assert clock.set(0, 0, True) == ("stepped", -60_000)
    day_ms = 86_400_000
    assert clock.set(day_ms + 3001, day_ms, False) == ("stepped", 3001)


def test_a_meter_with_a_forged_record_in_flash_does_not_start():
    info = MeterInfo(1, "1", b"")
    with pytest.raises(Exception, match="mac"):
        MeterLink("m", bytes(32), MemoryRing(bytes(8)), info, bytes, b"\1" * 40)
