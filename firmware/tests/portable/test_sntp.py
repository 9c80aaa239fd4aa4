"""A first time from the network: whose answer counts, and what the twin's word then does."""

import struct

from meter_rig import NOW_S, Rig
from sntp import SntpError, encode_request, parse_answer
from state import CLOCK

NONCE = b"8 octets"
EPOCH_S = 2208988800


def encode_answer(
    received_ms=NOW_S * 1000, sent_ms=None, nonce=NONCE, first=0x24, stratum=2, length=48
):  # fmt: skip
    sent_ms = received_ms if sent_ms is None else sent_ms
    stamps = b""
    for one_ms in (received_ms, sent_ms):
        seconds = one_ms // 1000 + EPOCH_S & 0xFFFFFFFF
        stamps += struct.pack(">II", seconds, one_ms % 1000 * 1024 // 1000 + 1 << 22 & 0xFFFFFFFF)
    return (bytes([first, stratum]) + bytes(22) + nonce + stamps)[:length]


def is_refused(data):
    try:
        parse_answer(data, NONCE, 0, 100)
    except SntpError:
        return True
    return False


def test_a_request_is_a_clients_and_carries_the_nonce():
    request = encode_request(NONCE)
    assert len(request) == 48
    assert (request[0] & 7, request[0] >> 3 & 7) == (3, 4)
    assert request[40:] == NONCE


def test_half_of_the_way_is_added_to_the_servers_time():
    found = parse_answer(encode_answer(NOW_S * 1000, NOW_S * 1000 + 20), NONCE, 5000, 5220)
    assert abs(found - (NOW_S * 1000 + 20 + 100)) <= 2


def test_the_era_from_2036_is_understood():
    late_ms = 2085978496000 + 5000
    assert abs(parse_answer(encode_answer(late_ms), NONCE, 0, 0) - late_ms) <= 2


def test_an_answer_that_is_not_to_be_used_is_refused():
    assert not is_refused(encode_answer())
    assert is_refused(encode_answer(nonce=b"somebody"))
    assert is_refused(encode_answer(first=0xE4))  # its clock is not synchronised
    assert is_refused(encode_answer(first=0x23))  # a client's
    assert is_refused(encode_answer(stratum=0))  # a kiss of death
    assert is_refused(encode_answer(stratum=16))
    assert is_refused(encode_answer(NOW_S * 1000, NOW_S * 1000 - 1000))
    assert is_refused(encode_answer(NOW_S * 1000, NOW_S * 1000 + 1000))  # longer than it took
    assert is_refused(encode_answer()[:32] + bytes(16))
    for length in range(48):
        assert is_refused(encode_answer(length=length))


def test_a_first_time_of_the_network_is_recorded_as_one_and_moves_no_clock_that_is_set():
    rig = Rig(rtc_s=None)
    rig.commands.set_first_clock(NOW_S * 1000)
    assert rig.timekeeper.utc()[0] == NOW_S
    assert 4 in rig.events()
    count = len(rig.events())
    rig.commands.set_first_clock(NOW_S * 1000 + 500000)
    assert rig.timekeeper.utc()[0] == NOW_S
    assert len(rig.events()) == count


def test_the_twins_first_time_moves_it_by_any_amount_and_its_second_does_not():
    rig = Rig(rtc_s=None)
    rig.commands.set_first_clock(NOW_S * 1000 - 10 * 365 * 86400 * 1000)
    assert rig.handle("time", NOW_S * 1000) == 0
    assert rig.timekeeper.utc()[0] == NOW_S
    assert rig.handle("time", NOW_S * 1000 + 3600000) == 6
    assert rig.timekeeper.utc()[0] == NOW_S


def test_no_order_is_judged_by_a_time_that_nobody_vouches_for():
    rig = Rig(rtc_s=None)
    rig.commands.set_first_clock(NOW_S * 1000)
    assert rig.timekeeper.judging_utc_s() is None
    rig.handle("time", NOW_S * 1000)
    assert rig.timekeeper.judging_utc_s() == NOW_S


def test_nobodys_time_leaves_no_offset_of_the_clock():
    rig = Rig(rtc_s=None)
    rig.commands.set_first_clock(NOW_S * 1000)
    rig.measuring.save()
    assert rig.state.get(CLOCK)[1:9] == bytes(8)
