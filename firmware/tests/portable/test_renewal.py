"""When a meter asks for a new certificate, at what pace, and which answers it takes. Both Pythons."""

from certificate import public_key, to_der, valid_from_s
from fake_certificates import encode_certificate, encode_key, to_pem
from meter_wire.portable.keys import derive_key, mac16
from meter_wire.portable.tlv import RemoteProtocolError, encode_length, pack
from renewal import DAY_S, LATEST_S, SPREAD_MS, TRIES, Renewal

DEVICE, KEY = "house-1", bytes(range(32))
FROM_S = 1_800_000_000
LATE_S = FROM_S + LATEST_S
OURS, OTHERS = b"our point", b"another's"
HELD = encode_certificate(1, OURS)
NEW = encode_certificate(2, OURS)
MINUTE_MS, HOUR_MS = 60000, 3600000


class Random:
    def __init__(self):
        self.drawn = 0

    def __call__(self, count):
        self.drawn += 1
        return bytes([self.drawn]) * count


def make(device=DEVICE, boot=1):
    return Renewal(device, KEY, boot, Random())


def encode_answer(
    nonce, certificate=NEW, key=None, device=DEVICE, anchors=(b"one", b"two"), from_s=FROM_S
):
    packed = b"".join([encode_length(len(one)) + one for one in anchors])
    content = b"\x01" + pack(1, device.encode(), 2, nonce, 3, certificate, 4, packed, 5, from_s)
    return content + mac16(key or derive_key(KEY, "renewed", DEVICE), content)


def nonce_of(request):
    return request[1 + 2 + len(DEVICE) + 2 :][:16]


def refused_as(renewal, payload):
    try:
        renewal.accept(payload)
    except RemoteProtocolError as error:
        return error.args[0]
    return None


def darken(renewal, times=TRIES):
    for _ in range(times):
        renewal.tried(True)


def test_before_its_second_nobody_is_asked_and_at_most_a_day_later_it_is():
    renewal = make()
    assert not renewal.is_due(FROM_S, FROM_S - 1, 10 * HOUR_MS)
    assert renewal.is_due(FROM_S, LATE_S, 10 * HOUR_MS)


def test_once_a_day_until_it_is_answered():
    renewal = make()
    asked = [
        minute
        for minute in range(10 * 24 * 60)
        if renewal.is_due(FROM_S, LATE_S + 60 * minute, HOUR_MS + minute * MINUTE_MS)
    ]
    assert len(asked) == 10
    for before, after in zip(asked, asked[1:]):  # noqa: B905, RUF007 - MicroPython has neither
        assert (after - before) * 60 == DAY_S


def first_asks(at_minute):
    """Return in which minute each meter of a street asks first; `at_minute`: (UTC, uptime) then."""
    found = []
    for number in range(200):
        renewal = make(f"house-{number}")
        minute = 0
        while not renewal.is_due(FROM_S, *at_minute(minute)):
            minute += 1
        found.append(minute)
    return found


def most_at_once(minutes):
    return max([minutes.count(minute) for minute in minutes])


def test_a_fleet_whose_certificates_are_of_one_day_asks_over_a_day():
    minutes = first_asks(lambda minute: (FROM_S + 60 * minute, DAY_S * 1000 + minute * MINUTE_MS))
    assert most_at_once(minutes) <= 4
    assert 20 * 60 < max(minutes) <= 24 * 60


def test_a_street_whose_power_returns_asks_over_an_hour():
    minutes = first_asks(lambda minute: (LATE_S + DAY_S, minute * MINUTE_MS))
    assert most_at_once(minutes) <= 12
    assert 50 < max(minutes) <= SPREAD_MS // MINUTE_MS


def test_the_port_is_dialled_after_five_refused_tries_in_a_row_and_not_after_four():
    renewal = make()
    darken(renewal, TRIES - 1)
    assert not renewal.is_dark(0)
    renewal.tried(True)
    assert renewal.is_dark(0)


def test_a_broker_that_is_down_is_no_reason_and_begins_the_row_anew():
    renewal = make()
    for _ in range(100):
        renewal.tried(False)
    assert not renewal.is_dark(0)
    darken(renewal, TRIES - 1)
    renewal.tried(False)
    darken(renewal, TRIES - 1)
    assert not renewal.is_dark(0)


def test_a_session_begins_the_row_anew():
    renewal = make()
    darken(renewal, TRIES - 1)
    renewal.welcomed()
    darken(renewal, TRIES - 1)
    assert not renewal.is_dark(0)


def dials(renewal, hours):
    darken(renewal)
    return [minute for minute in range(hours * 60) if renewal.is_dark(minute * MINUTE_MS)]


def test_the_pauses_between_two_dials_grow_from_minutes_to_hours_and_differ_by_meter():
    asked = dials(make(), 48)
    pauses = [after - before for before, after in zip(asked, asked[1:])]  # noqa: B905, RUF007
    longest = [5, 10, 20, 40, 80] + [150] * 100
    for pause, most in zip(pauses, longest):  # noqa: B905
        assert most // 2 <= pause <= most + 1, pauses
    assert asked != dials(make("house-2"), 48)


def test_neither_a_session_nor_an_answer_shortens_the_pause_that_has_begun():
    renewal = make()
    darken(renewal)
    assert renewal.is_dark(0)
    assert refused_as(renewal, encode_answer(nonce_of(renewal.ask(HELD)))) is None
    renewal.welcomed()
    darken(renewal)
    assert not renewal.is_dark(2 * MINUTE_MS)
    assert renewal.is_dark(5 * MINUTE_MS)


def test_what_has_to_be_remembered_keeps_it_in_the_heap():
    renewal = make()
    assert renewal.is_idle(0)
    renewal.tried(True)
    assert not renewal.is_idle(0)
    renewal.welcomed()
    assert renewal.is_idle(0)
    darken(renewal)
    assert renewal.is_dark(0)
    renewal.welcomed()
    assert not renewal.is_idle(2 * MINUTE_MS)
    assert renewal.is_idle(5 * MINUTE_MS)


def test_after_an_answer_five_refused_tries_come_before_the_next_dial():
    renewal = make()
    darken(renewal)
    renewal.accept(encode_answer(nonce_of(renewal.ask(HELD))))
    darken(renewal, TRIES - 1)
    assert not renewal.is_dark(HOUR_MS)


def test_an_answer_is_taken_whole():
    renewal = make()
    found = renewal.accept(encode_answer(nonce_of(renewal.ask(HELD))))
    assert found.certificate == NEW
    assert found.anchors == [b"one", b"two"]
    assert found.renew_from_s == FROM_S


def test_a_wrong_answer_is_refused_by_name_and_the_right_one_is_taken_after_it():
    renewal = make()
    nonce = nonce_of(renewal.ask(HELD))
    right = encode_answer(nonce)
    for wrong, reason in (
        (encode_answer(bytes(16)), "nonce"),
        (encode_answer(nonce, key=derive_key(KEY, "renew", DEVICE)), "mac"),
        (encode_answer(nonce, key=derive_key(bytes(32), "renewed", DEVICE)), "mac"),
        (encode_answer(nonce, device="house-2"), "device"),
        (encode_answer(nonce, anchors=()), "malformed"),
        (encode_answer(nonce, anchors=(b"1", b"2", b"3")), "malformed"),
        (b"", "malformed"),
        (b"\x02" + right[1:], "version"),
        (right[:-1], "mac"),
    ):
        assert refused_as(renewal, wrong) == reason
    assert refused_as(renewal, right) is None


def test_a_nonce_is_answered_once():
    renewal = make()
    answer = encode_answer(nonce_of(renewal.ask(HELD)))
    assert refused_as(renewal, answer) is None
    assert refused_as(renewal, answer) == "nonce"


def test_an_answer_to_an_earlier_request_is_none_to_a_later_one():
    renewal = make()
    answer = encode_answer(nonce_of(renewal.ask(HELD)))
    assert nonce_of(renewal.ask(HELD)) != answer[12:28]
    assert refused_as(renewal, answer) == "nonce"


def test_who_asked_nothing_takes_nothing():
    renewal = make()
    for nonce in (b"", bytes(16)):
        assert refused_as(renewal, encode_answer(nonce)) == "nonce"


def test_a_certificate_for_another_key_is_refused_though_the_operator_says_it():
    for certificate in (encode_certificate(2, OTHERS), b"no certificate", b"\x30"):
        renewal = make()
        answer = encode_answer(nonce_of(renewal.ask(HELD)), certificate)
        assert refused_as(renewal, answer) == "malformed"


def test_the_key_of_a_certificate_is_found_with_and_without_a_version():
    for version in (True, False):
        assert public_key(encode_certificate(1, OURS, version)) == encode_key(OURS)


def test_no_cut_certificate_has_a_key():
    for end in range(len(HELD)):
        try:
            public_key(HELD[:end])
        except ValueError:
            continue
        raise AssertionError(end)


def test_from_when_a_certificate_is_valid_is_utc_time_or_generalized_time():
    """RFC 5280, 4.1.2.5.1: years from 50 on are of the last century."""
    for time, second in (
        (b"\x17\x0d700101000000Z", 0),
        (b"\x17\x0d991231235959Z", 946684799),
        (b"\x17\x0d000229000000Z", 951782400),
        (b"\x17\x0d261123200304Z", 1795464184),
        (b"\x17\x0d491231235959Z", 2524607999),
        (b"\x18\x0f20260301000000Z", 1772323200),
        (b"\x18\x0f21000301000000Z", 4107542400),
    ):
        for version in (True, False):
            assert valid_from_s(encode_certificate(1, OURS, version, time)) == second, time


def test_no_other_time_and_no_cut_certificate_tell_from_when():
    wrong = [encode_certificate(1, OURS, True, b"\x17\x0d26112320030+01"), HELD[:300]]
    wrong += [encode_certificate(1, OURS, True, b"\x18\x0d261123200304Z"), b"", b"\x30\x00"]
    for one in wrong:
        try:
            valid_from_s(one)
        except ValueError:
            continue
        raise AssertionError(one)


def test_pem_and_der_are_the_same_certificate():
    assert to_der(to_pem(HELD)) == to_der(HELD) == HELD
    for wrong in (b"", b"nothing", b"-----END CERTIFICATE-----"):
        try:
            to_der(wrong)
        except ValueError:
            continue
        raise AssertionError(wrong)
