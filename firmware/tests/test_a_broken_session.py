"""A session with the broker that a lack of memory has broken ends, and whoever waits for it is told."""

import asyncio

import mqtt_shell
import pytest
from meter_wire.portable import mqtt


class Stream:
    """A broker that accepts the connection and never answers."""

    def __init__(self):
        self.is_closed = False

    async def read(self, _count):
        await asyncio.sleep(3600)

    def write(self, packet):
        pass

    async def drain(self):
        pass

    def get_extra_info(self, _name):
        return None

    def close(self):
        self.is_closed = True


@pytest.fixture
def shell(monkeypatch):
    shell = mqtt_shell.MqttShell("house-1", lambda _: None)
    shell._reader = shell._writer = shell.stream = Stream()
    shell._connection.connect(mqtt_shell.now_ms())
    shell._connection.state = mqtt.CONNECTED
    monkeypatch.setattr(mqtt_shell, "ANSWER_TIMEOUT_S", 2)
    return shell


def serve(shell, work):
    async def both():
        reader = asyncio.create_task(shell.run())
        try:
            await asyncio.wait_for(work, 20)
        finally:
            await asyncio.wait([reader], timeout=20)
        return reader

    return asyncio.run(both())


def test_a_silent_broker_ends_the_session(shell):
    with pytest.raises(OSError, match="104"):
        serve(shell, shell.subscribe(("mt/house-1/owner", 1)))
    assert shell.stream.is_closed


def test_no_memory_for_the_ping_task_ends_the_session(shell, monkeypatch):
    def fail(_runner):
        raise MemoryError

    monkeypatch.setattr(shell, "_ping", fail)
    with pytest.raises(OSError, match="104"):
        serve(shell, shell.subscribe(("mt/house-1/owner", 1)))
    assert shell.stream.is_closed


def test_no_memory_for_a_ping_ends_the_session(shell, monkeypatch):
    def fail(_now_ms):
        raise MemoryError

    monkeypatch.setattr(shell._connection, "poll", fail)
    with pytest.raises(OSError, match="104"):
        serve(shell, shell.subscribe(("mt/house-1/owner", 1)))
    assert shell.stream.is_closed
