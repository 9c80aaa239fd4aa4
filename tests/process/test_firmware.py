"""The firmware process by itself: EMS port without twin and broker, configuration, supervision.

The small profile has neither EMS port nor supervised tasks, and no room to check its configuration.
"""

import pathlib
import re
import socket
import subprocess
import threading
import time
from datetime import datetime

import pytest
from harness import MICROPYTHON, World
from processes import connects, wait_for
from small_world import both_builds

pytestmark = pytest.mark.timeout(600)
PERIOD_S = 3


class Ems:
    """A home energy management system: reads lines, answers what is forwarded."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.data = b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = self.socket.recv(4096)
            except OSError:
                return
            if not data:
                return
            self.data += data
            for number in re.findall(rb"FORWARD (\d+) [0-9a-f]+\r\n", data):
                self.socket.sendall(b"ANSWER " + number + b" 6f6b\r\n")

    def close(self) -> None:
        try:  # noqa: SIM105
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join(5)
        self.socket.close()


def crc16(data: bytes) -> int:
    crc = 0
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def test_the_ems_port_pushes_telegrams_while_twin_and_broker_are_absent(world: World) -> None:
    port = {"host": "127.0.0.1", "port": world.ems_port, "period_s": PERIOD_S}
    world.make_firmware(ems=port).start()
    wait_for(lambda: connects(world.ems_port), "the EMS port listens")
    ems = Ems(world.ems_port)
    wait_for(lambda: ems.data.count(b"!") >= 3, "three telegrams")
    telegram = re.search(rb"(/MTW5.*?!)([0-9A-F]{4})\r\n", ems.data, re.DOTALL)
    assert telegram
    body, crc = telegram.groups()
    assert int(crc, 16) == crc16(body)
    assert b"1-0:16.7.0(230*W)\r\n" in body
    times = re.findall(rb"0-0:1\.0\.0\((\d{12}Z)\)", ems.data)
    first, *_, last = (datetime.strptime(at.decode(), "%y%m%d%H%M%S%z") for at in times)
    assert (last - first).total_seconds() >= (len(times) - 1) * PERIOD_S - 1, "whole seconds"
    ems.close()


def test_forward_reaches_the_ems_and_its_answer_the_twin(world: World) -> None:
    world.start()
    world.wait_stored(4)
    body = {"data": "aGVsbG8=", "ttl_seconds": 20}
    assert world.ask("POST", "/v1/forward", body)[1]["code"] == "ems_absent"
    ems = Ems(world.ems_port)
    wait_for(lambda: ems.data, "the meter serves the EMS: a telegram came")
    status, document = world.ask("POST", "/v1/forward", body)
    assert (status, document) == (200, {"code": "delivered", "data": "b2s="})
    assert b"FORWARD 1 68656c6c6f\r\n" in ems.data
    ems.close()


def test_greedy_clients_cost_one_bounded_buffer(world: World) -> None:
    world.make_firmware().start()
    wait_for(lambda: connects(world.ems_port), "the EMS port listens")
    time.sleep(1.5)
    wait_for(lambda: is_dropped(world.ems_port), "the greedy one is dropped")
    wait_for(lambda: count_served(world.ems_port) == 2, "two of five are served", period_s=1)
    assert world.firmware.runs


def is_dropped(port: int) -> bool:
    """Whether the meter closes a connection that sends without an end."""
    with socket.create_connection(("127.0.0.1", port), 60) as flood:
        for _ in range(1000):
            try:
                flood.sendall(b"x" * 1000)
            except ConnectionError:
                return True
            time.sleep(0.02)
    return False


def count_served(port: int) -> int:
    """Return how many of five clients get telegrams; never more than two.

    There may be fewer while the meter has not seen that an earlier client has gone.
    """
    clients = [Ems(port) for _ in range(5)]
    end = time.monotonic() + 10
    try:
        while True:
            served = sum(bool(one.data) for one in clients)
            assert served <= 2
            if time.monotonic() > end:
                return served
            if served == 2:
                end = min(end, time.monotonic() + 1.5)  # a telegram a second: none for a third
            time.sleep(0.1)
    finally:
        for one in clients:
            one.close()


def test_a_wrong_configuration_names_field_and_remedy(world: World) -> None:
    world.make_firmware()
    broker, tls = world.meter_json["broker"], world.meter_json["tls"]
    for changes, expected in (
        ({"device": "House_1"}, "device: "),
        ({"capture_period_s": 7}, "capture_period_s: "),
        ({"key": "00"}, "key: "),
        ({"ems": {"port": 0}}, "ems.port: "),
        ({"state_dir": "/proc/none/state"}, "state_dir: "),
        ({"tariff": {"switches": [["9", "00:00", 1]]}}, "tariff.switches[0]: "),
        ({"broker": {**broker, "renewal_port": 0}}, "broker.renewal_port: "),
        ({"tls": {**tls, "renew_from": "soon"}}, "tls.renew_from: "),
        ({"tls": {**tls, "ca": []}}, "tls.ca: lists 0 files"),
        ({"tls": {**tls, "ca": ["ca.der"] * 3}}, "tls.ca: lists 3 files"),
        ({"tls": {**tls, "ca": ["ca.der", 1]}}, "tls.ca: is missing or no text"),
        ({"tls": {**tls, "ca": ["ca.der", "none.der"]}}, "tls.ca: no file"),
        ({"tls": {**tls, "cert": "meter.json"}}, "tls: ca, cert or key"),
    ):
        saved = dict(world.meter_json)
        world.configure_meter(**changes)
        done = subprocess.run(  # noqa: PLW1510
            world.firmware.command, env=world.firmware.environment, capture_output=True, text=True
        )
        assert done.returncode == 2, done.stdout
        assert expected in done.stdout
        assert saved["key"] not in done.stdout
        world.meter_json = saved


def test_a_memory_error_in_one_task_stops_no_other(world: World, tmp_path: pathlib.Path) -> None:
    world.make_firmware()
    script = tmp_path / "inject.py"
    script.write_text(
        "import main, link_task, sys\n"
        "work = link_task.LinkTask._session\n"
        "left = [2]\n"
        "async def fail(self, beat):\n"
        "    if left[0]:\n"
        "        left[0] -= 1\n"
        "        raise MemoryError\n"
        "    await work(self, beat)\n"
        "link_task.LinkTask._session = fail\n"
        "sys.exit(main.main(sys.argv[1:]))\n"
    )
    command = [str(MICROPYTHON), str(script), *world.firmware.command[-2:]]
    world.firmware.command = command
    world.start_broker()
    world.operator.start()
    world.operator.take_over()
    world.twin.start()
    world.firmware.start()
    world.wait_stored(8)
    ledger = world.check()
    events = [raw for rows in ledger.raw.values() for _, raw in rows if raw[0] == 2]
    codes = [int.from_bytes(raw[15:17], "big") for raw in events]
    assert codes.count(19) == 2, "task_restart"


@both_builds
def test_no_key_and_no_value_is_logged(world: World) -> None:
    world.start()
    world.wait_stored(6)
    world.broker.kill()
    time.sleep(2)
    log = world.firmware.log
    assert world.meter_json["key"] not in log
    assert "230" not in log.replace("metertwin: device house-1, boot 1", "")
