"""The meter asks a time server over UDP: on CPython and on MicroPython, packets on loopback.

The server is a few lines after RFC 4330; no real one is asked.
"""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "tools/micropython/micropython"
PROGRAM = """
import asyncio, os, sys
sys.path[:0] = ["FIRMWARE", "WIRE"]
import sntp
from timekeeper import ticks_ms

class Clock:
    valid = False

def set_clock(utc_ms):
    print("SET", utc_ms)
    Clock.valid = True

sntp.FIRST_PAUSE_S = 1
asking = sntp.Asking("127.0.0.1", PORT, Clock, set_clock, os.urandom, ticks_ms)

async def main():
    task = asyncio.create_task(asking.run(lambda: None))
    for _ in range(SECONDS * 10):
        await asyncio.sleep(0.1)
    task.cancel()
    print("FAILED", asking.failed)

asyncio.run(main())
"""


class Server:
    """Answers what `answers` make of a request; remembers what it was asked."""

    def __init__(self, *answers):
        self.answers = answers
        self.asked = []
        self.line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.line.bind(("127.0.0.1", 0))
        self.line.settimeout(0.2)
        self.is_over = False
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.is_over:
            try:
                request, address = self.line.recvfrom(100)
            except TimeoutError:
                continue
            self.asked.append(request)
            for answer in self.answers:
                self.line.sendto(answer(request), address)

    def close(self):
        self.is_over = True
        self.thread.join()
        self.line.close()


def right(request):
    stamp = (3_900_000_000).to_bytes(4, "big") + b"\x80\x00\x00\x00"
    return b"\x24\x02" + bytes(22) + request[40:48] + stamp + stamp


def of_another(request):
    return right(request)[:24] + b"not mine" + right(request)[32:]


def without_time(request):
    return b"\xe4\x00" + right(request)[2:]


def run(interpreter, port, seconds):
    program = PROGRAM.replace("FIRMWARE", str(ROOT / "firmware/src"))
    program = program.replace("WIRE", str(ROOT / "wire/src")).replace("PORT", str(port))
    command = [*interpreter, "-c", program.replace("SECONDS", str(seconds))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


INTERPRETERS = [
    pytest.param([sys.executable], id="cpython"),
    pytest.param([MICROPYTHON, "--arch", "amd64"], id="micropython-64"),
    pytest.param([MICROPYTHON, "--arch", "i386"], id="micropython-32"),
]


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_the_right_answer_among_wrong_ones_sets_the_clock_once(interpreter):
    server = Server(of_another, without_time, lambda _: b"junk", right)
    said = run(interpreter, server.line.getsockname()[1], 3)
    server.close()
    assert said[0] == "SET"
    assert abs(int(said[1]) - (3_900_000_000 - 2_208_988_800) * 1000 - 500) < 500
    assert said[2:] == ["FAILED", "0"]
    assert len(server.asked) == 1


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_a_server_without_time_is_asked_less_and_less(interpreter):
    server = Server(without_time)
    said = run(interpreter, server.line.getsockname()[1], 11)
    server.close()
    assert said == ["FAILED", "2"]
    assert len({request[40:48] for request in server.asked}) == len(server.asked)
