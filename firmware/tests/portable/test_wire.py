# ruff: noqa: C419, PT017 - MicroPython has no others
"""The wire of a simulated street: the feeder's meter sees what the houses have connected."""

import os
import socket

from electricity import street_electricity
from simulation.wire import HouseWire, parse_telegram
from test_electricity import BOOT, FOLDER, house

PORT = 20000 + int.from_bytes(os.urandom(2), "big") % 10000


def street(**wire):
    return {
        "households": {"a": house(1), "b": house(2)},
        "feeder": {"phases": 3, "start_at": "2016-01-02T08:00:00Z"},
        "wire": wire or {"host": "127.0.0.1", "port": PORT},
    }


def feeder():
    return street_electricity(street(), None, FOLDER, BOOT)


def power_w(electricity):
    return sum([phase[0] for phase in electricity.tick(1000)[1]])


def close(electricity):
    electricity.wire._socket.close()


def test_a_telegram_is_name_share_and_supply():
    assert parse_telegram("house-1 700 1") == ("house-1", 700, True)
    assert parse_telegram("house-1 0 0") == ("house-1", 0, False)
    for junk in (
        "",
        "house-1",
        "house-1 1001 1",
        "house-1 -1 1",
        "house-1 x 1",
        "a 1 2",
        "a 1 1 1",
    ):
        assert parse_telegram(junk) is None, junk


def test_the_feeder_sees_what_a_house_has_switched_off():
    there, alone, half = feeder(), None, None
    own = street_electricity(street(), "a", FOLDER, BOOT)
    try:
        before = power_w(there)
        own.wire.step(0, True)
        there.wire.step()
        alone = power_w(there)
        own.wire.step(1000, True)
        there.wire.step()
        again = power_w(there)
        own.wire.step(1000, False)
        there.wire.step()
        half = power_w(there)
        assert alone < before - 10, (before, alone)
        assert abs(again - before) < before // 20 + 30, (before, again)
        assert abs(half - alone) < before // 20 + 30, (half, alone)
    finally:
        close(there)
        close(own)


def test_what_is_no_telegram_or_of_no_house_changes_nothing():
    there = feeder()
    raw = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        address = socket.getaddrinfo("127.0.0.1", PORT)[0][-1]
        for octets in (b"", b"\xff\xfe", b"c 0 1", b"a 2000 1", b"x" * 500):
            raw.sendto(octets, address)
        there.wire.step()
        assert all([one.connected_permille == 1000 for one in there.members])
    finally:
        raw.close()
        close(there)


def test_nobody_who_listens_is_no_trouble():
    wire = HouseWire("a", "127.0.0.1", PORT + 1)
    for _ in range(3):
        wire.step(500, True)
    wire._socket.close()


def test_a_wire_without_a_host_is_refused():
    for row in ({"port": 1}, {"host": "x", "port": 0}, {"host": 7, "port": 1}):
        try:
            street_electricity(street(**row), "a", FOLDER, BOOT)
            raise AssertionError(row)
        except ValueError as error:
            assert "wire" in str(error)
