"""Properties of the link's codecs: round trip, cuts, corruption; numbers against the tables."""

import ast
import hashlib
import hmac
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_wire import names, obis, tables
from meter_wire.entries import parse_description, parse_entry, status_names
from meter_wire.owner_record import (
    OwnerRecord,
    claimed_device,
    encode_owner_record,
    parse_owner_hello,
    parse_owner_record,
)
from meter_wire.portable import entry as codec
from meter_wire.portable import tlv
from meter_wire.portable.description import encode_description
from meter_wire.portable.entry_signature import with_signature
from meter_wire.portable.frame import check_frame, check_mac, fields_of, seal
from meter_wire.portable.keys import hmac_sha256, same
from meter_wire.portable.meter_commands import parse_codes
from meter_wire.portable.owner import encode_owner_hello
from meter_wire.portable.segments import Assembler, split
from meter_wire.portable.tlv import RemoteProtocolError

PORTABLE = pathlib.Path(codec.__file__).parent
codes = st.binary(min_size=6, max_size=6)
values = st.integers(-(1 << 247), (1 << 247) - 1) | st.binary(max_size=31)
u32 = st.integers(0, 0xFFFFFFFF)
u16 = st.integers(0, 0xFFFF)
registers = st.lists(st.tuples(codes, values, st.none() | u32), max_size=10)
devices = st.from_regex(names.DEVICE, fullmatch=True)
keys = st.binary(min_size=32, max_size=32)


def outcome(parse):
    try:
        parse()
    except RemoteProtocolError as error:
        return error.args[0]
    return ""


def test_an_entry_has_the_low_16_bits_of_the_boot_number():
    for boot in (7, 65543, (1 << 32) - 65529):
        entry = codec.encode_event(0, 0, 0, boot, 1, [])
        assert parse_entry(entry).boot == 7


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_hmac_is_the_standard_librarys(key, message):
    assert hmac_sha256(key, message[:7], message[7:]) == hmac.digest(key, message, "sha256")


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_constant_time_comparison_compares(one, other):
    assert same(one, other) == (one == other)
    assert same(one, bytes(one))


@given(st.integers(-(1 << 300), 1 << 300))
def test_an_integer_has_one_encoding(number):
    encoded = tlv.encode_int(number)
    assert tlv.parse_int(encoded) == number
    assert encoded == (
        number.to_bytes((number + (number < 0)).bit_length() // 8 + 1, "big", signed=True)
        if number
        else b""
    )
    with pytest.raises(RemoteProtocolError):
        tlv.parse_int((b"\xff" if number < 0 else b"\0") + encoded)


@given(st.dictionaries(st.integers(1, 255), st.binary(max_size=300), max_size=6))
def test_fields_come_back_and_unknown_ones_are_skipped(fields):
    data = b"".join(tlv.field(tag, value) for tag, value in fields.items())
    assert tlv.parse_fields(b"xy" + data, 2, 52) == {t: v for t, v in fields.items() if t <= 52}
    for end in range(len(data)):
        assert outcome(lambda end=end: tlv.parse_fields(data[:end], 0, 52)) in ("", "malformed")


@pytest.mark.parametrize(
    "data",
    [b"\x01", b"\x01\x02a", b"\x01\x80", b"\x01\x81\x00a", b"\x01\x80\x80\x01", b"\x01\0\x01\0"],
)
def test_malformed_fields_are_refused(data):
    with pytest.raises(RemoteProtocolError, match="malformed"):
        tlv.parse_fields(data, 0, 52)


@given(st.binary(max_size=60))
def test_parsers_refuse_or_return_whatever_the_bytes(data):
    for parse in (
        lambda: tlv.parse_fields(data, 0, 52),
        lambda: parse_entry(bytes(13) + data),
        lambda: parse_description(data),
        lambda: parse_codes(data),
        lambda: claimed_device(data),
        lambda: parse_owner_record(data, bytes(32)),
        lambda: parse_owner_hello(data, bytes(32)),
        lambda: fields_of(b"\1\1\0\0\0\0" + data + bytes(16)),
    ):
        assert outcome(parse) in {"", *(row.name for row in tables.REFUSALS)}


@given(u16, u32, u32, u16, registers)
def test_a_reading_comes_back(status, time_s, uptime_s, boot, rows):
    encoded = [codec.encode_register(*row) for row in rows]
    entry = codec.encode_reading(status, time_s, uptime_s, boot, encoded)
    parsed = parse_entry(entry)
    assert [(r.code, r.value, r.at_s) for r in parsed.registers] == rows
    assert (parsed.status, parsed.time_s, parsed.uptime_s) == (status, time_s, uptime_s)
    assert (parsed.kind, parsed.boot, parsed.is_event) == (1, boot, False)


@given(u16, u16, st.lists(values, max_size=10), st.binary(min_size=64, max_size=64))
def test_a_signed_event_comes_back(status, code, arguments, signature):
    entry = codec.encode_event(status, 5, 6, 7, code, arguments)
    parsed = parse_entry(with_signature(entry, 2, signature))
    assert (parsed.event_code, parsed.arguments) == (code, tuple(arguments))
    assert (parsed.signature.algorithm, parsed.signature.value) == (2, signature)
    assert parsed.is_event


def test_an_entry_of_640_bytes_is_the_longest():
    filler = [codec.encode_register(bytes([1, 0, 1, 8, n, 255]), b"x" * 31) for n in range(17)]
    rest = 640 - 13 - 3 - 35 * 17
    last = [codec.encode_register(bytes([1, 0, 2, 8, 0, 255]), b"x" * (rest - 4))]
    assert len(codec.encode_reading(0, 0, 0, 0, filler + last)) == 640
    with pytest.raises(ValueError, match="entry"):
        codec.encode_reading(0, 0, 0, 0, [*filler, *last, b"\0\0\0\0"])
    with pytest.raises(ValueError, match="value"):
        codec.encode_register(bytes(6), b"x" * 32)


def test_status_bits_have_the_names_of_the_contract():
    assert status_names(codec.STATUS_CLOCK_ADJUSTED | codec.STATUS_ERROR) == [
        "clock_adjusted",
        "error",
    ]
    for row in tables.STATUS:
        assert getattr(codec, "STATUS_" + row.name.upper()) == row.number


@given(keys, st.binary(min_size=16, max_size=16), st.integers(0, 255), u32, st.binary(max_size=99))
def test_a_frame_with_any_bit_flipped_is_not_authentic(key, nonces, kind, counter, body):
    frame = seal(key, nonces, kind, counter, body[:5], body[5:])
    assert check_frame(frame, 768) == (kind, counter)
    check_mac(key, nonces, frame)
    for bit in range(0, len(frame) * 8, 7):
        bad = bytearray(frame)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RemoteProtocolError, match="mac"):
            check_mac(key, nonces, bytes(bad))


def test_a_frame_of_another_version_or_length_is_refused():
    for payload, reason in (
        (b"\2" + bytes(30), "version"),
        (b"\1" + bytes(20), "malformed"),
        (b"\1" + bytes(768), "oversized"),
    ):
        with pytest.raises(RemoteProtocolError, match=reason):
            check_frame(payload, 768)


@given(st.binary(min_size=760, max_size=4096), st.integers(0, 65535))
def test_segments_come_together(body, item):
    assembler = Assembler()
    parts = split(5, body, 768, item)
    assert all(len(part) + 22 <= 768 for part in parts)
    got = [assembler.feed(tlv.parse_fields(part, 0, 52), 0) for part in parts]
    assert got == [None] * (len(parts) - 1) + [(5, body)]


def test_segments_out_of_order_late_or_too_long_are_refused():
    parts = [tlv.parse_fields(part, 0, 52) for part in split(5, bytes(2000), 768, 1)]
    for order, limit, late_ms, reason in (
        ((1,), 4096, 0, "segment"),
        ((0, 2), 4096, 0, "segment"),
        ((0, 1), 4096, 30_001, "segment"),
        ((0, 1), 1000, 0, "oversized"),
    ):
        assembler = Assembler(limit)
        for index in order[:-1]:
            assembler.feed(parts[index], 0)
        with pytest.raises(RemoteProtocolError, match=reason):
            assembler.feed(parts[order[-1]], late_ms)


@given(
    st.text(max_size=20), st.lists(st.tuples(codes, st.integers(0, 255), st.integers(-128, 127)))
)
def test_a_description_comes_back(serial, rows):
    assert parse_description(encode_description(serial, "1", rows)) == (serial, "1", tuple(rows))


@st.composite
def owner_records(draw):
    active = draw(st.integers(1, 0xFFFFFFFE))
    candidate = draw(st.just(0) | st.integers(active + 1, 0xFFFFFFFF))
    return OwnerRecord(
        draw(devices),
        active,
        draw(st.binary(min_size=16, max_size=16)),
        candidate,
        draw(st.binary(min_size=16, max_size=16)) if candidate else b"",
        draw(st.integers(max(active, candidate), 0xFFFFFFFF)),
        draw(st.sampled_from(["", "h:1", "[2001:db8::1]:65535", "a.example:8883"])),
        draw(st.integers(1, 0xFFFFFFFF)),
        draw(st.just(b"") | st.binary(min_size=8, max_size=8)),
    )


@given(owner_records(), keys)
def test_an_owner_record_comes_back_and_no_other_key_reads_it(record, key):
    payload = encode_owner_record(record, key)
    assert parse_owner_record(payload, key) == record
    with pytest.raises(RemoteProtocolError, match="mac"):
        parse_owner_record(payload, bytes(octet ^ 1 for octet in key))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("active", 0),
        ("candidate", 1),
        ("highest", 1),
        ("broker", "host"),
        ("broker", "host:65536"),
        ("broker", "host:0"),
        ("counter", 0),
    ],
)
def test_an_owner_record_with_a_wrong_field_names_it(field, value):
    record = OwnerRecord("m", 2, bytes(16), 0, b"", 2, "h:1", 1)
    with pytest.raises(ValueError, match=field):
        encode_owner_record(OwnerRecord(**{**{s: getattr(record, s) for s in record.__slots__}, field: value}), bytes(32))  # fmt: skip


@given(devices, keys, st.binary(min_size=8, max_size=8))
def test_an_owner_hello_comes_back(device, key, nonce):
    payload = encode_owner_hello(key, device, nonce, b"incarnat", None)
    hello = parse_owner_hello(payload, key)
    assert (hello.device, hello.nonce, hello.floor) == (device, nonce, 0)
    assert claimed_device(payload) == device


@given(codes)
def test_obis_codes_come_back(code):
    assert obis.parse_code(obis.format_code(code)) == code


@pytest.mark.parametrize("text", ["1.8.0", "1-0:1.8.0", "1-0:01.8.0*255", "1-0:256.8.0*255", ""])
def test_an_obis_code_that_is_not_full_is_refused(text):
    with pytest.raises(ValueError, match="OBIS"):
        obis.parse_code(text)


@given(devices, st.integers(1, 0xFFFFFFFF))
def test_topics_come_back(device, epoch):
    for channel in names.CHANNELS:
        topic = names.build_topic(device, channel, epoch)
        assert names.parse_topic(topic) == (device, epoch, channel)
    for channel in names.DEVICE_CHANNELS:
        assert names.parse_topic(names.build_topic(device, channel)) == (device, None, channel)


@pytest.mark.parametrize(
    "topic", ["mt/a/0/up", "mt/a/01/up", "mt/A/1/up", "mt/a/1/hello", "mt/a/up", "x/a/1/up", "mt/-a/owner", "mt/a/99999999999/up"]
)  # fmt: skip
def test_a_topic_outside_the_contract_is_refused(topic):
    with pytest.raises(ValueError, match=r"topic|epoch|device|channel"):
        names.parse_topic(topic)


READERS = st.from_regex(names.READER, fullmatch=True)


@given(READERS, READERS)
def test_each_reader_has_a_common_name_of_its_own_outside_the_alphabet_of_devices(one, other):
    found = names.build_reader_cn(one)
    assert len(found) <= 64
    assert not names.DEVICE.fullmatch(found)
    assert (found == names.build_reader_cn(other)) is (one == other)


@pytest.mark.parametrize(("length", "is_plain"), [(56, True), (57, False), (63, False)])
def test_the_common_name_of_a_long_reader_is_cut_and_ends_with_its_digest(length, is_plain):
    one, other = "a" * length, "a" * (length - 1) + "b"
    assert (names.build_reader_cn(one) == f"Reader.{one}") is is_plain
    assert names.build_reader_cn(one) != names.build_reader_cn(other)


def test_a_word_for_an_energy_management_stands_below_its_writers_name():
    where = "house-1", 7, "home-1"
    for channel in names.TO_EMS:
        assert names.build_ems_topic(*where, channel) == f"ems/to/house-1/7/Reader.home-1/{channel}"
    for channel in names.FROM_EMS:
        found = names.build_ems_topic(*where, channel)
        assert found == f"ems/from/Reader.home-1/house-1/7/{channel}"
    for wrong in (("house/1", 7, "home-1"), ("house-1", 0, "home-1"), ("house-1", 7, "+")):
        with pytest.raises(ValueError, match=r"device|epoch|reader"):
            names.build_ems_topic(*wrong, "plan")
    with pytest.raises(ValueError, match="channel"):
        names.build_ems_topic(*where, "up")


PREFIXES = {
    "_FRAME_": tables.FRAME_TYPES,
    "_TAG_": tables.TAGS,
    "_ENTRY_": tables.ENTRY_TAGS,
    "_OWNER_HELLO_": tables.OWNER_HELLO_TAGS,
    "_OWNER_": tables.OWNER_TAGS,
    "_RENEW_": tables.RENEW_TAGS,
    "_RENEWED_": tables.RENEWED_TAGS,
    "_ORDER_": tables.ORDER_TAGS,
    "ACTION_": tables.ORDER_ACTIONS,
    "_ANSWER_": tables.ANSWERS,
    "_FORM_": tables.FORM_BITS,
    "KIND_": tables.ENTRY_KINDS,
}


def portable_numbers():
    for path in sorted(PORTABLE.glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
                continue
            name = node.targets[0].id
            prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
            if prefix and not path.stem.startswith("mqtt"):
                yield path.stem, name, prefix, ast.literal_eval(node.value.args[0])


def test_the_meters_numbers_are_those_of_the_tables():
    seen = 0
    for module, name, prefix, number in portable_numbers():
        seen += 1
        row = name.removeprefix(prefix).lower()
        assert tables.number_of(PREFIXES[prefix], row) == number, (module, name)
    assert seen > 80


def test_the_meters_refusals_are_in_the_table():
    listed = {row.name for row in tables.REFUSALS}
    for path in PORTABLE.glob("*.py"):
        if path.stem.startswith("mqtt"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RemoteProtocolError":
                words = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
                assert set(words) <= listed, (path, words)


def test_numbers_and_names_are_unique():
    for rows in PREFIXES.values():
        assert len({row.number for row in rows}) == len({row.name for row in rows}) == len(rows)
    assert hashlib.sha256  # the only primitive there is
