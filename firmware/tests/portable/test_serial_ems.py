"""The EMS port on a serial line: who is there, what is said, and its bounds. Both Pythons."""

import asyncio

from ems import ABSENT, MAX_LINE, EmsPort
from serial_ems import SerialLine

OK = 0


class PortConfig:
    """What `config.Config` has of the port."""

    ems_clients = 2
    ems_port = None
    ems_period_s = 0.02
    serial = "MT-1"


class Wire:
    """A UART; `answers` says something to each line that the meter has written."""

    def __init__(self, answer=b""):
        self.answer = answer
        self.written = []
        self.unread = b""

    def write(self, data):
        self.written.append(data)
        if self.answer and b"FORWARD" in data:
            self.unread += self.answer

    def read(self):
        data, self.unread = self.unread, b""
        return data


class Meter:
    """A port with a serial line, on a clock that the test turns."""

    def __init__(self, answer=b""):
        self.now_ms = 0
        self.actions = []
        self.wire = Wire(answer)
        self.port = EmsPort(PortConfig, lambda: (None, []), lambda: self.actions.append(1))
        self.port.line = SerialLine(self.wire, self.port, lambda: self.now_ms)

    def hear(self, data):
        self.wire.unread += data
        self.port.line.poll()

    def forward(self, data):
        async def run():
            task = asyncio.create_task(self.port.line.run(lambda: None))
            found = await self.port.forward(data)
            task.cancel()
            return found

        return asyncio.run(run())


def test_an_ems_is_there_for_a_minute_after_a_line():
    meter = Meter()
    assert not meter.port.is_present
    meter.hear(b"\r")
    assert not meter.port.is_present
    meter.hear(b"\n")
    assert meter.port.is_present
    meter.now_ms = 59999
    assert meter.port.is_present
    meter.now_ms = 60000
    assert not meter.port.is_present


def test_a_forward_goes_to_who_is_heard_and_to_nobody_else():
    meter = Meter(b"ANSWER 1 6f6b\r\n")
    assert meter.forward(b"hello") == (ABSENT, b"")
    assert meter.wire.written == []
    meter.hear(b"\n")
    assert meter.forward(b"hello") == (OK, b"ok")
    assert b"".join(meter.wire.written) == b"FORWARD 1 68656c6c6f\r\n"


def test_lines_come_in_any_pieces_and_the_local_action_is_one():
    meter = Meter()
    for octet in b"RECONNECT\r\n\r\nnonsense\r\n":
        meter.hear(bytes([octet]))
    assert meter.actions == [1]
    assert meter.port.refused == 1


def test_a_line_that_is_too_long_is_skipped_to_its_end_and_counted_once():
    meter = Meter()
    for _ in range(40):
        meter.hear(b"x" * 100)
    assert not meter.port.is_present
    meter.hear(b"xx\nRECONNECT\n")
    assert meter.actions == [1]
    assert meter.port.refused == 1
    meter.hear(b"y" * MAX_LINE + b"\n")
    assert meter.port.refused == 2


def test_a_telegram_and_a_forward_do_not_mix():
    meter = Meter()
    meter.hear(b"\n")

    async def run():
        sending = asyncio.create_task(meter.port.line.send(b"T" * 300))
        await asyncio.sleep(0)
        await meter.port.line.send(b"F" * 100)
        await sending

    asyncio.run(run())
    assert b"".join(meter.wire.written) == b"T" * 300 + b"F" * 100
    assert max([len(piece) for piece in meter.wire.written]) <= 64


def test_telegrams_go_out_although_nobody_was_heard_and_without_tcp():
    meter = Meter()

    async def run():
        task = asyncio.create_task(meter.port.run(lambda: None))
        await asyncio.sleep(0.2)
        task.cancel()

    asyncio.run(run())
    said = b"".join(meter.wire.written)
    assert said.startswith(b"/MTW5MT-1\r\n")
    assert said.count(b"/MTW5") >= 2
