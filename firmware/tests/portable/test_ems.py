# ruff: noqa: PT017 - MicroPython has no others
"""What an EMS may say to the meter, and the bounds of its port. Both Pythons."""

import asyncio

from config import Config, ConfigError
from ems import EmsPort
from event_codes import ORDER, RELAY_SUPPLY
from meter_rig import Rig, encode_order
from meter_wire.portable.order import ACTION_ARM
from registers import CONNECTED, DISCONNECT_STATE, DISCONNECTED, READY_FOR_RECONNECTION

OK, REFUSED = 0, 3


class PortConfig:
    """What `config.Config` has of the port."""

    ems_clients = 2


class Home:
    """Both ends of an EMS's connection: says its lines, then waits for the end."""

    def __init__(self, answer=b""):
        self.answer = answer
        self.lines = b""
        self.unread = b""
        self.arrived = asyncio.Event()
        self.s = self

    def setsockopt(self, *_option):
        pass

    def say(self, data):
        self.unread += data
        self.arrived.set()

    async def read(self, _length):
        await self.arrived.wait()
        self.arrived.clear()
        data, self.unread = self.unread, b""
        return data

    def write(self, data):
        self.lines += data
        if self.answer:
            self.say(self.answer)

    async def drain(self):
        pass

    def close(self):
        pass


def converse(port, home, work):
    """Connect `home`, await `work()`, end the connection; return what `work` returned."""

    async def run():
        task = asyncio.create_task(port._serve(home, home))
        await asyncio.sleep(0)
        assert port.is_present
        found = await work()
        home.say(b"")
        await task
        return found

    return asyncio.run(run())


def forward(answer):
    """Return (code, reply, refused lines) of a forward that the EMS answers so."""
    port = EmsPort(PortConfig, None, None)
    home = Home(answer)
    code, reply = converse(port, home, lambda: port.forward(b"hello"))
    assert home.lines == b"FORWARD 1 68656c6c6f\r\n"
    return code, reply, port.refused


def reconnect(rig):
    """Say RECONNECT at the meter's port; return how many lines it refused."""
    port = EmsPort(PortConfig, None, rig.commands.local_action)
    home = Home()
    home.say(b"RECONNECT\r\n")
    converse(port, home, lambda: asyncio.sleep(0))
    return port.refused


def test_a_forward_that_the_ems_refuses_is_told_as_refused():
    assert forward(b"REFUSE 1\r\n") == (REFUSED, b"", 0)


def test_a_refusal_of_another_forward_is_counted_and_decides_nothing():
    assert forward(b"REFUSE 2\r\nREFUSE\r\nANSWER 1 6f6b\r\n") == (OK, b"ok", 2)


def test_the_local_action_closes_a_supply_that_the_utility_has_released():
    rig = Rig()
    assert rig.handle("order", encode_order(), b"") == OK
    assert rig.handle("order", encode_order(ACTION_ARM, counter=2), b"") == OK
    assert rig.register(DISCONNECT_STATE) == READY_FOR_RECONNECTION
    assert reconnect(rig) == 0
    assert (rig.register(DISCONNECT_STATE), rig.measuring.front_end.supply) == (CONNECTED, True)
    assert rig.told()[4:] == [(RELAY_SUPPLY, CONNECTED, 0)]
    assert rig.reboot().supply.state == CONNECTED


def test_the_local_action_does_nothing_unless_the_utility_has_released_the_supply():
    rig = Rig()
    assert reconnect(rig) == 0
    assert rig.events() == []
    assert rig.handle("order", encode_order(), b"") == OK
    assert reconnect(rig) == 0
    assert (rig.supply.state, rig.measuring.front_end.supply) == (DISCONNECTED, False)
    assert rig.events() == [ORDER, RELAY_SUPPLY]


def period_of(ems):
    table = {"device": "house-1", "key": "00" * 32, "broker": {"host": "127.0.0.1"}, "ems": ems}
    return Config(table, "/tmp").ems_period_s


def test_the_port_pushes_every_one_to_ten_seconds_and_five_unless_told():
    assert [period_of(ems) for ems in ({}, {"period_s": 1}, {"period_s": 10})] == [5, 1, 10]
    for period_s in (0, 11, -1, 2.5, True, "5"):
        try:
            raise AssertionError(period_of({"period_s": period_s}))
        except ConfigError as error:
            assert str(error).startswith("ems.period_s: "), error
