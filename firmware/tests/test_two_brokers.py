"""A meter follows its owner record to another broker and back: two real Mosquittos, real firmware.

One connection at a time is counted in the kernel's table of sockets; what the meter wrote to its
flash is compared with what the twins hold. The twins' ends and the operator are in this process.
"""

import contextlib
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time
from hashlib import sha256

import paho.mqtt.client as paho
import pytest
from loopback import free_port
from meter_wire.memory import MemoryTwin
from meter_wire.owner_record import OwnerRecord, encode_owner_record, parse_owner_hello
from meter_wire.portable.keys import derive_key
from meter_wire.twin_link import EpochKeys

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
ROOT = pathlib.Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "tools/micropython/micropython"
DEVICE = "house-1"
KEY = bytes(range(32))


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


broker = load(ROOT / "wire/tests/mqtt_broker.py")
small_image = load(pathlib.Path(__file__).with_name("small_image.py"))


def wait_for(condition, what, timeout_s=150):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def epoch_id(epoch):
    return epoch.to_bytes(16, "big")


class Site:
    """A broker, the operator's hand on it, and the twins that live there."""

    def __init__(self, folder, *, tls, serve=broker.mosquitto):
        self.folder = folder
        self.tls = tls
        self.serve = serve
        self.port = free_port()
        self.twins = {}
        self.hellos = []
        self.record = None
        self.stack = contextlib.ExitStack()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.stack.enter_context(self.serve(self.folder, self.port, tls=self.tls))
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, f"site-{self.port}")
        if self.tls:
            files = [str(self.folder / name) for name in ("ca.crt", "meter.crt", "meter.key")]
            client.tls_set(*files)
        client.on_message = self.message
        client.connect("127.0.0.1", self.port)
        client.subscribe([("mt/+/hello", 1), ("mt/+/+/up", 1)])
        client.loop_start()
        self.stack.callback(client._reset_sockets)  # else the garbage collector warns, elsewhere
        self.stack.callback(client.loop_stop)
        self.stack.callback(client.disconnect)
        self.client = client
        self.publish()

    def stop(self):
        self.stack.close()

    def publish(self, nonce=b""):
        if self.record is not None:
            owner = encode_owner_record(
                OwnerRecord(**self.record, nonce=nonce), derive_key(KEY, "owner", DEVICE)
            )
            self.client.publish(f"mt/{DEVICE}/owner", owner, 1, True)

    def message(self, _client, _userdata, message):
        epoch = message.topic.split("/")[2]
        if epoch == "hello":
            hello = parse_owner_hello(message.payload, derive_key(KEY, "hello", DEVICE))
            self.hellos.append(hello)
            self.publish(hello.nonce)
        elif int(epoch) in self.twins:
            twin = self.twins[int(epoch)]
            now_ms = time.monotonic_ns() // 1_000_000
            twin.act(twin.link.receive(message.payload, now_ms, time.time_ns() // 1_000_000))
            while twin.down:
                self.client.publish(f"mt/{DEVICE}/{epoch}/down", twin.down.popleft(), 1)

    def make_twin(self, epoch):
        keys = [derive_key(KEY, label, DEVICE, epoch, epoch_id(epoch)) for label in ("up", "down")]
        self.twins[epoch] = MemoryTwin(EpochKeys(epoch, *keys), DEVICE, os.urandom)
        return self.twins[epoch]


def record(active, at, counter):
    """The record of an operator that has decided; `at` is "" for the meter's first broker."""
    return {
        "device": DEVICE, "active": active, "active_id": epoch_id(active), "candidate": 0,
        "candidate_id": b"", "highest": active, "broker": at, "counter": counter,
    }  # fmt: skip


def tell(sites, decision):
    for site in sites:
        site.record = decision
        with contextlib.suppress(OSError, RuntimeError):
            site.publish()


class Sockets(threading.Thread):
    """Counts the meter's connections to the two brokers, ten times a second."""

    def __init__(self, ports):
        super().__init__(daemon=True)
        self.ports = {f"{port:04X}" for port in ports}
        self.most = 0
        self.seen = set()
        self.others = set()
        self.ends = threading.Event()

    def connections(self):
        """Return (local port, broker's port) of what is established, seen from the client."""
        rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return {
            (row[1].split(":")[1], row[2].split(":")[1])
            for row in rows
            if row[3] == "01" and row[2].split(":")[1] in self.ports
        }

    def run(self):
        while not self.ends.wait(0.1):
            found = self.connections() - self.others
            if len(found) > 1:  # the table is not read at one moment: one may follow the other
                found &= self.connections()
            self.most = max(self.most, len(found))
            self.seen |= {port for _, port in found}


class Meter:
    """The firmware's process."""

    def __init__(self, command, folder, environment):
        self.log = folder / "meter.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def sites(tmp_path, request):
    made = []
    for name in ("first", "other"):
        folder = tmp_path / name
        if made and request.param:
            shutil.copytree(made[0].folder, folder)  # the same CA
        else:
            folder.mkdir()
            if request.param:
                broker.make_certificates(folder)
        made.append(Site(folder, tls=request.param))
    yield made
    for site in made:
        site.stop()


def start_main(folder, first):
    folder.mkdir()
    for name in ("ca.der", "meter.crt.der", "meter.key.der"):
        shutil.copy(first.folder / name, folder)
    table = {
        "device": DEVICE,
        "broker": {"host": "127.0.0.1", "port": first.port, "keep_alive_s": 10},
        "tls": {"ca": "ca.der", "cert": "meter.crt.der", "key": "meter.key.der"},
        "key": KEY.hex(),
        "capture_period_s": 1,
        "tick_ms": 200,
        "oracle_log": "oracle.log",
    }
    (folder / "meter.json").write_text(json.dumps(table))
    command = [MICROPYTHON, "--arch", "amd64", ROOT / "firmware/src/main.py"]
    path = f"{ROOT}/firmware/src:{ROOT}/wire/src:.frozen"
    return Meter(
        [*command, "--config", folder / "meter.json"], folder, {**os.environ, "MICROPYPATH": path}
    )


def start_small(folder, first, arch="i386"):
    folder.mkdir()
    command = small_image.small_command(folder, DEVICE, KEY, first.port, arch=arch)
    return Meter(command, folder, dict(os.environ))


def last(twin):
    entries = list(twin.journal.entries)  # another thread adds to them
    return max((seq for _, seq in entries), default=0)


def check(twin, folder):
    """Everything from number 1 on is there once, in order, as it was written."""
    # Another thread adds to them: what is looked at is what is there before the log is read.
    entries, order = dict(twin.journal.entries), list(twin.journal.order)
    numbers = [seq for _, seq in order]
    assert numbers == list(range(1, len(numbers) + 1))
    assert twin.journal.holes == twin.journal.quarantine == []
    oracle = folder / "oracle.log"
    if oracle.exists():
        lines = oracle.read_text().splitlines(keepends=True)
        rows = [line.split() for line in lines if line.endswith("\n")]
        written = {int(row[2]): row[4] for row in rows if row[0] == "append"}
        for (_, seq), content in entries.items():
            assert sha256(content).hexdigest()[:16] == written[seq]


def follow(sites, meter_folder, start):
    """The story: first broker, other broker, the other dies, the first again."""
    first, other = sites
    for site in sites:
        site.start()
    sockets = Sockets([first.port, other.port])
    sockets.others = sockets.connections()
    one = first.make_twin(1)
    tell([first], record(1, "", 1))
    meter = start(meter_folder, first)
    sockets.start()
    try:
        wait_for(lambda: last(one) > 4, "the twin at the first broker fills")
        two = other.make_twin(2)
        tell(sites, record(2, other.address, 2))
        wait_for(lambda: last(two) > last(one), "the twin at the other broker has everything")
        time.sleep(3)
        assert last(one) < last(two), "the first broker hears no more"
        three = first.make_twin(3)
        other.stop()
        tell([first], record(3, "", 3))
        wait_for(lambda: last(three) > last(two), "back at the first broker, from the ring")
        for twin in (one, two, three):
            check(twin, meter_folder)
        assert sockets.seen == sockets.ports
        assert sockets.most == 1, "never two connections at once"
    finally:
        sockets.ends.set()
        sockets.join()
        meter.kill()
    return meter.log.read_text()


@pytest.mark.parametrize("sites", [True], indirect=True)
def test_a_meter_moves_to_the_broker_of_its_record_and_back_when_it_dies(sites, tmp_path):
    log = follow(sites, tmp_path / "meter", start_main)
    assert "Error" not in log.replace("OSError", "").replace("TimeoutError", "")


@pytest.mark.parametrize("sites", [False], indirect=True)
def test_the_small_profile_does_it_within_the_heap_of_an_esp8266(sites, tmp_path):
    log = follow(sites, tmp_path / "meter", start_small)
    assert "MemoryError" not in log
    assert small_image.least_free_bytes(log) > 3000
    print("least free", small_image.least_free_bytes(log))
