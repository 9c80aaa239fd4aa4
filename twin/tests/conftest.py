"""The world of the twin's tests: a CA, a real Mosquitto with the real ACLs, a twin process, a meter.

The meter is the real link core on an in-memory ring over the real MQTT shell; its ring is the
oracle of what must be in the store.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from broker_configuration import read_rules
from loopback import free_ports
from meter_twin.mqtt_shell import BrokerSettings, MqttShell, NotConnectedError, tls_context
from meter_wire.control import sign_record
from meter_wire.memory import MemoryRing
from meter_wire.names import build_twin_host, build_twin_uri
from meter_wire.owner_record import OwnerRecord, encode_owner_record, parse_owner_hello
from meter_wire.portable.entry import encode_event, encode_reading, encode_register
from meter_wire.portable.keys import derive_key
from meter_wire.portable.meter_link import MeterInfo, MeterLink

ROOT = pathlib.Path(__file__).parents[2]
DEVICE = "house-1"
NAMESPACE_EPOCH = 1
K_METER = bytes(range(32))
EPOCH_ID = bytes(range(16))
IMPORT_ENERGY = bytes((1, 0, 1, 8, 0, 255))
EXPORT_ENERGY = bytes((1, 0, 2, 8, 0, 255))
VOLTAGE = bytes((1, 0, 32, 7, 0, 255))
LOAD = 3


def reading(time_s, energy_wh, status=0, more=()):
    registers = [encode_register(IMPORT_ENERGY, energy_wh), encode_register(EXPORT_ENERGY, 7)]
    return encode_reading(status, time_s, time_s & 0xFFFF, 1, [*registers, *more])


def event(time_s, code, arguments, status=0):
    return encode_event(status, time_s, time_s & 0xFFFF, 1, code, arguments)


def of_epoch(name, epoch):
    """The name of a file or folder of a twin: that of the first has no number."""
    return name if epoch == 1 else f"{name}-{epoch}"


class World:
    """Files, ports and processes of one test; all processes end with it."""

    def __init__(self, folder):
        self.folder = folder
        folder.chmod(0o755)
        self.broker_port, self.plain, self.local, self.peer = free_ports(4)
        self.broker = None
        self.twins = []
        self._certificates()

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def _certificates(self):
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self._openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2",
                      "-subj", "/CN=test CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
        self.issue("server", "metertwin-mosquitto", "IP:127.0.0.1")
        self.issue("meter", DEVICE, f"URI:urn:metertwin:meter:{DEVICE}")
        self.issue("operator", "Operator.metertwin", "URI:urn:metertwin:operator")
        self.issue_twin(1)

    def issue_twin(self, epoch):
        host = build_twin_host(DEVICE, epoch, "default")
        uri = f"URI:{build_twin_uri(DEVICE, epoch)},DNS:{host}"
        self.issue(of_epoch("tls", epoch), f"{DEVICE}/{epoch}", uri)

    def issue(self, name, common_name, alternative):
        subject = "/CN=" + common_name.replace("/", "\\/")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)  # fmt: skip
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={alternative}\n")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                      "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt")  # fmt: skip
        (self.folder / f"{name}.key").chmod(0o644)

    def context(self, name):
        folder = self.folder
        return tls_context(folder / "ca.crt", folder / f"{name}.crt", folder / f"{name}.key")

    def configuration(self, *, epoch=1, epoch_id=EPOCH_ID, **changes):
        identity = self.folder / of_epoch("identity", epoch)
        identity.mkdir(exist_ok=True)
        for name in ("crt", "key"):
            shutil.copy(self.folder / f"{of_epoch('tls', epoch)}.{name}", identity / f"tls.{name}")
        keys = {
            label: derive_key(K_METER, label, DEVICE, epoch, epoch_id).hex()
            for label in ("up", "down", "ctl")
        }
        document = {"device": DEVICE, "epoch": epoch, "epochId": epoch_id.hex(), **keys}
        (identity / "keys.json").write_text(json.dumps(document))
        return {
            "device": DEVICE,
            "epoch": epoch,
            "meteringPoint": "541448860000000001",
            "broker": {"host": "127.0.0.1", "port": self.broker_port},
            "capturePeriodSeconds": 60,
            "applications": {"metering-data": {}, "power-quality": {}},
            "engines": {"encrypt": "sealed-box"},
            "paths": {
                "identity": str(identity),
                "trust": str(self.folder / "ca.crt"),
                "store": str(self.folder / "store" / "twin.db"),
            },
            "ports": {"plain": self.plain, "local": self.local, "peer": self.peer},
            **changes,
        }

    def start_broker(self):
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        if program is None:
            pytest.skip("mosquitto is missing: apt-get install mosquitto")
        folder = self.folder
        (folder / "acl").write_text(
            f"user Operator.metertwin\ntopic readwrite mt/#\n{read_rules('metertwin.mosquitto.acl')}\n"
        )
        (folder / "mosquitto.conf").write_text(
            f"listener {self.broker_port} 127.0.0.1\nset_tcp_nodelay true\nuser root\n"
            f"acl_file {folder}/acl\ncafile {folder}/ca.crt\ncertfile {folder}/server.crt\n"
            f"keyfile {folder}/server.key\nrequire_certificate true\n"
            "use_identity_as_username true\nallow_anonymous false\n"
            "use_username_as_clientid true\n"
        )
        (folder / "acl").chmod(0o600)
        with (folder / "mosquitto.log").open("ab") as log:
            self.broker = subprocess.Popen(
                [program, "-c", str(folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        wait_for(lambda: connects(self.broker_port), "the broker listens")

    def kill_broker(self):
        self.broker.kill()
        self.broker.wait()

    def start_twin(self, configuration=None, python=None):
        """`python`: else that of TWIN_PYTHON, a script that runs an image's, else this one."""
        python = python or os.environ.get("TWIN_PYTHON", sys.executable)
        twin = TwinProcess(self, configuration or self.configuration(), python)
        self.twins.append(twin)
        return twin

    def close(self):
        for twin in self.twins:
            twin.kill()
        if self.broker:
            self.kill_broker()

    def ctl(self, state="active", term=1, counter=1, **changes):
        record = {"epoch": 1, "epochId": EPOCH_ID.hex(), "state": state, "term": term}
        record |= {"counter": counter, **changes}
        key = derive_key(K_METER, "ctl", DEVICE, 1, EPOCH_ID)
        return json.dumps(sign_record(record, key)).encode()

    @contextlib.asynccontextmanager
    async def client(self, name, common_name, on_message=None, filters=()):
        """An MQTT session of our shell under a certificate."""

        async def ignore(_message):
            return None

        shell = MqttShell(
            BrokerSettings("127.0.0.1", self.broker_port, common_name),
            on_message or ignore,
            self.context(name),
        )
        for one in filters:
            await shell.subscribe(one)
        task = asyncio.create_task(shell.run())
        try:
            yield shell
        finally:
            await shell.close()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def operate(self, state="active", **changes):
        """Publish the retained control record, as the operator does."""
        async with self.client("operator", "Operator.metertwin") as shell:
            await shell.connected.wait()
            await shell.publish(f"mt/{DEVICE}/1/ctl", self.ctl(state, **changes), retain=True)

    async def empty_ctl(self):
        """Delete the retained control record."""
        async with self.client("operator", "Operator.metertwin") as shell:
            await shell.connected.wait()
            await shell.publish(f"mt/{DEVICE}/1/ctl", b"", retain=True)


class TwinProcess:
    """`python -m meter_twin` with its log in a file."""

    def __init__(self, world, configuration, python):
        self.world = world
        self.log_path = world.folder / "twin.log"
        self.termination = world.folder / "termination-log"
        self.termination.write_text("")
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}/wire/src:{ROOT}/twin/src",
            "METERTWIN_CONFIG": configuration
            if isinstance(configuration, str)
            else json.dumps(configuration),
            "METERTWIN_TERMINATION_LOG": str(self.termination),
        }
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [python, "-m", "meter_twin"], env=environment, stdout=log, stderr=log
            )

    @property
    def log(self):
        return self.log_path.read_text()

    def wait_serving(self):
        wait_for(self._answers, "the twin serves", self)

    def _answers(self):
        with contextlib.suppress(OSError):  # it does not listen yet, or ended
            return self.get("/healthz", self.world.plain)[0] == 200
        return False

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def get(self, path, port=None):
        """Return (status, JSON or text); never raises for a status."""
        return http("GET", f"http://127.0.0.1:{port or self.world.local}{path}")

    def post(self, path, body):
        return http("POST", f"http://127.0.0.1:{self.world.local}{path}", body)


def http(method, url, body=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text, status, kind = answer.read(), answer.status, answer.headers["content-type"]
    except urllib.error.HTTPError as error:
        with error:
            text, status, kind = error.read(), error.code, error.headers["content-type"]
    return status, json.loads(text) if kind == "application/json" else text.decode()


def connects(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def wait_for(condition, what, twin=None, timeout_s=60):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return
        if twin is not None and twin.process.poll() is not None:
            break
        time.sleep(0.02)
    raise AssertionError(f"not in time: {what}\n{twin.log if twin else ''}")


async def eventually(condition, what, timeout_s=100):
    """Wait without holding the loop; the condition runs in a thread (it may do HTTP).

    The time is no requirement: it ends a wait that would last for ever.
    """
    end = time.monotonic() + timeout_s
    while True:
        found = await asyncio.to_thread(condition)
        if found:
            return
        if time.monotonic() > end:
            raise AssertionError(f"not in time: {what}, last {found!r}")
        await asyncio.sleep(0.05)


class Meter:
    """A meter process: real link, in-memory ring (its flash), answers reads and forwards."""

    def __init__(self, world, capacity=100_000):
        self.world = world
        self.ring = MemoryRing(os.urandom(8), capacity)
        self.log = {}
        self.owner = b""
        self.boot = 0
        self.ems = True
        self.loads = []
        self.settings = []
        self.description = b""
        self.live = reading
        self.task = None

    def append(self, entry):
        seq = self.ring.append(entry)
        self.log[self.ring.incarnation, seq] = entry
        return seq

    def record(self):
        owner = OwnerRecord(DEVICE, 1, EPOCH_ID, 0, b"", 1, "127.0.0.1:1", 1, self.nonce)
        return encode_owner_record(owner, derive_key(K_METER, "owner", DEVICE))

    def power_on(self):
        self.boot += 1
        self.born = time.monotonic()
        info = MeterInfo(self.boot, "1.0.0", self.description)
        self.link = MeterLink(DEVICE, K_METER, self.ring, info, os.urandom, self.owner)
        self.task = asyncio.create_task(self._run())

    async def power_off(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    def uptime_ms(self):
        return int((time.monotonic() - self.born) * 1000)

    async def _run(self):
        filters = (f"mt/{DEVICE}/1/down", f"mt/{DEVICE}/owner")
        async with self.world.client("meter", DEVICE, self._receive, filters) as shell:
            was_up = False
            while True:
                up = shell.connected.is_set()
                if up != was_up:
                    (self.link.connected(self.uptime_ms()) if up else self.link.disconnected())
                    was_up = up
                if up:
                    with contextlib.suppress(NotConnectedError):
                        await self._send(shell)
                await asyncio.sleep(0.01)

    async def _send(self, shell):
        while (out := self.link.poll(self.uptime_ms())) is not None:
            epoch, payload = out
            if epoch:
                await shell.publish(f"mt/{DEVICE}/{epoch}/up", payload)
            else:
                hello = parse_owner_hello(payload, derive_key(K_METER, "hello", DEVICE))
                self.nonce = hello.nonce
                self._act(self.link.receive_owner(self.record(), self.uptime_ms()))

    async def _receive(self, message):
        if message.topic.endswith("/down"):
            happened = self.link.receive(
                1, message.payload, self.uptime_ms(), bool(message.retain), bool(message.dup)
            )
            self._act(happened)

    def _act(self, happened):
        match happened:
            case ("owner", record):
                self.owner = record
            case ("read", epoch, command, _codes):
                entry = self.live(int(time.time()), 424_242)
                self.link.answer(epoch, command, 0, entry=entry)
            case ("forward", epoch, command, data):
                code = 0 if self.ems else 1
                self.link.answer(epoch, command, code, data=data[::-1] if self.ems else b"")
            case ("write", epoch, command, target, index, value, seconds):
                if target == LOAD:
                    self.loads.append((target, index, value, seconds))
                else:
                    self.settings.append((target, value))
                self.link.answer(epoch, command, 0)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def tools():
    """The helpers above, for test modules (importlib mode has no imports between them)."""
    return sys.modules[__name__]
