"""The operator of `street.py` at a real Mosquitto: the broker, and a session of the messenger.

The broker has the operator's rules of the chart; charts/tests/test_acl.py tries those themselves.
"""

import asyncio
import contextlib
import shutil
import socket
import subprocess
from datetime import UTC, datetime

import aiomqtt
import pytest
from loopback import free_ports
from meter_operator.messenger import Messenger
from meter_pki.identities import broker_identity

from .street import AUTHORITY

PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
NEEDS_MOSQUITTO = pytest.mark.skipif(
    PROGRAM is None, reason="mosquitto is missing: run `make deps`"
)
FAST_S = (0.02, 0.05, 0.1)
WAIT_S = 60
"""No requirement: it ends a wait that would last for ever."""
CONFIGURATION = """\
per_listener_settings true
user root
persistence false
listener {port} 127.0.0.1
cafile {folder}/ca.crt
certfile {folder}/broker.crt
keyfile {folder}/broker.key
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {folder}/acl
listener {open_port} 127.0.0.1
allow_anonymous true
"""
RULES = """\
user Operator.metertwin
topic readwrite mt/+/+/ctl
topic readwrite mt/+/owner
topic readwrite mt/+/+/state
topic read mt/+/hello
pattern write mt/%u/state
"""


async def until(check, seconds=WAIT_S):
    for _ in range(int(seconds / 0.02)):
        if check():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


class Broker:
    """Mosquitto with one TLS port for the operator and one without rules for the observer."""

    def __init__(self, folder):
        self.folder = folder
        folder.chmod(0o755)
        self.port, self.open_port = free_ports(2)
        (folder / "ca.crt").write_bytes(AUTHORITY.certificate_pem)
        self.write("broker", broker_identity("street", extra=("localhost",)))
        (folder / "acl").write_text(RULES)
        (folder / "acl").chmod(0o600)
        self.configuration = CONFIGURATION
        self.process = None

    def write(self, name, identity, authority=AUTHORITY):
        bundle = authority.issue(identity, datetime.now(UTC))
        for end, content in (("crt", bundle.certificate), ("key", bundle.key)):
            (self.folder / f"{name}.{end}").write_bytes(content)

    def identify(self, identity, authority=AUTHORITY):
        """Write what the chart mounts for the operator; return its folder."""
        folder = self.folder / "identity"
        folder.mkdir(exist_ok=True)
        bundle = authority.issue(identity, datetime.now(UTC))
        (folder / "tls.crt").write_bytes(bundle.certificate)
        (folder / "tls.key").write_bytes(bundle.key)
        self.private = bundle.key
        return folder

    def launch(self):
        file = self.folder / "mosquitto.conf"
        file.write_text(
            self.configuration.format(folder=self.folder, port=self.port, open_port=self.open_port)
        )
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen([PROGRAM, "-c", str(file)], stderr=log, stdout=log)

    def listens(self):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.open_port), 1).close()
            return True
        return False

    async def start(self):
        self.launch()
        await until(self.listens)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait(60)
            self.process = None

    async def retained(self, topic, quiet_s=0.3):
        """Return what a new subscriber gets at once: topic → payload."""
        found = {}
        async with aiomqtt.Client("127.0.0.1", self.open_port) as client:
            await client.subscribe(topic, qos=1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(quiet_s):
                    async for message in client.messages:
                        found[str(message.topic)] = message.payload
        return found

    async def until_retained(self, topic, wanted):
        """Wait until the retained topics under `topic` are these; return them."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await self.retained(topic)
                if set(found) == set(wanted):
                    return found


class Session:
    """The operator of `street.py` with a messenger at the broker."""

    def __init__(self, operator, broker, confirm=lambda: asyncio.sleep(0)):
        operator.restart(broker_host="localhost")
        operator.restart(broker_port=broker.port)
        operator.restart(trust=broker.folder / "ca.crt")
        operator.restart(identity=broker.folder / "identity")
        self.operator = operator
        self.looked = []
        self.messenger = Messenger(
            operator.settings, operator.cache, operator.fleet, 7,
            operator.reconciler.messages_of,
            self.looked.append, confirm, FAST_S,
        )  # fmt: skip
        operator.reconciler._publisher = self.messenger
        self.messenger.synced.set()
        self.task = None

    def start(self):
        self.task = asyncio.create_task(self.messenger.run())

    async def connected(self):
        async with asyncio.timeout(WAIT_S):
            await self.messenger.connected.wait()

    async def stop(self):
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
