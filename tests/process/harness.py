"""Real processes on loopback: Mosquitto with mutual TLS, twins, the firmware, a small operator.

The firmware's oracle log says what it has written to flash; `World.check` compares it with the
store of the active twin: every entry exactly once, unchanged, in order, the chain of hashes whole.
Nothing here is patched or simulated but the operator, which plays the published contract: owner
record and `ctl` retained, again at each reconnect and for each owner hello.

Neighbours: `processes`, `oracle` (the comparison), `operator_role` (the operator).
"""

import json
import os
import pathlib
import shutil
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest
from meter_pki import authority, identities
from meter_wire.portable.keys import derive_key
from operator_role import OperatorRole
from oracle import Ledger, read_oracle, read_store
from processes import Process, connects, free_ports, wait_for

ROOT = pathlib.Path(__file__).parents[2]
DEVICE = "house-1"
NAMESPACE = "test"
K_METER = bytes(range(32))
MICROPYTHON = ROOT / "tools/micropython/micropython"
ACL = """\
user Operator.metertwin
topic readwrite mt/#
pattern write mt/%u/+/up
pattern read mt/%u/+/down
pattern read mt/%u/owner
pattern write mt/%u/hello
pattern read mt/%u/up
pattern write mt/%u/down
pattern read mt/%u/ctl
pattern write mt/%u/state
"""


class World:
    """Files, ports and processes of one test."""

    def __init__(self, folder):
        self.folder = folder
        folder.chmod(0o755)
        self.port = free_ports(1)[0]
        self.authority = authority.Authority.create(datetime.now(UTC))
        (folder / "ca.crt").write_bytes(self.authority.certificate_pem)
        self.twins = {}
        self.ems_port = free_ports(1)[0]
        self._issue("server", identities.broker_identity(NAMESPACE, extra=("localhost",)))
        self._issue("operator", identities.operator_identity())
        self.broker = self._broker()
        self.firmware = None
        self.operator = OperatorRole(self, DEVICE, K_METER)

    def _issue(self, name, identity):
        bundle = self.authority.issue(identity, datetime.now(UTC))
        (self.folder / f"{name}.crt").write_bytes(bundle.certificate)
        (self.folder / f"{name}.key").write_bytes(bundle.key)
        (self.folder / f"{name}.key").chmod(0o644)
        return bundle

    def _broker(self):
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        if program is None:
            pytest.skip("mosquitto is missing: run `make deps`")
        self.configure_broker()
        return Process("broker", [program, "-c", str(self.folder / "mosquitto.conf")], self.folder)

    def configure_broker(self, *, persistence=False, plain_port=0):
        """Write the broker's configuration; it counts at the next start."""
        folder = self.folder
        (folder / "acl").write_text(ACL)
        (folder / "acl").chmod(0o600)
        lines = [
            "per_listener_settings true",
            f"user {'root' if os.getuid() == 0 else 'mosquitto'}",
            f"listener {self.port} 127.0.0.1",
            f"cafile {folder}/ca.crt",
            f"certfile {folder}/server.crt",
            f"keyfile {folder}/server.key",
            "require_certificate true",
            "use_identity_as_username true",
            "use_username_as_clientid true",
            "allow_anonymous false",
            f"acl_file {folder}/acl",
            "set_tcp_nodelay true",
            "message_size_limit 4096",
        ]
        if (
            plain_port
        ):  # for a meter without TLS; whoever reaches it is believed, as on a test bench
            lines += [f"listener {plain_port} 127.0.0.1", "allow_anonymous true"]
            lines += [f"acl_file {folder}/acl", "use_username_as_clientid true"]
        if persistence:
            lines += ["persistence true", f"persistence_location {folder}/", "autosave_interval 1"]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def start_broker(self):
        self.broker.start()
        wait_for(lambda: connects(self.port), "the broker listens")

    # -- the meter

    def make_firmware(self, arch="amd64", **changes):
        """Provision the meter's folder; the process is started by the test."""
        folder = self.folder / "meter"
        folder.mkdir(exist_ok=True)
        bundle = self._issue("meter", identities.meter_identity(DEVICE))
        (folder / "ca.der").write_bytes(authority.pem_to_der(self.authority.certificate_pem))
        (folder / "meter.crt.der").write_bytes(authority.pem_to_der(bundle.certificate))
        (folder / "meter.key.der").write_bytes(authority.key_to_der(bundle.key))
        self.meter_json = {
            "device": DEVICE,
            "broker": {"host": "127.0.0.1", "port": self.port, "keep_alive_s": 10},
            "tls": {
                "ca": "ca.der",
                "cert": "meter.crt.der",
                "key": "meter.key.der",
                "server_name": "localhost",
            },
            "key": K_METER.hex(),
            "capture_period_s": 1,
            "tick_ms": 200,
            "save_period_s": 5,
            "ring_bytes": 262144,
            "oracle_log": "oracle.log",
            "ems": {"host": "127.0.0.1", "port": self.ems_port, "period_s": 1},
        }
        command = [str(MICROPYTHON), "--arch", arch, str(ROOT / "firmware/src/main.py")]
        command += ["--config", str(folder / "meter.json")]
        path = f"{ROOT}/firmware/src:{ROOT}/wire/src:.frozen"
        environment = {"PATH": os.environ["PATH"], "MICROPYPATH": path}
        for name in ("HOME", "METERTWIN_CACHE", "METERTWIN_DEBIAN_MIRROR"):
            if name in os.environ:
                environment[name] = os.environ[name]
        self.firmware = Process("firmware", command, self.folder, environment)
        self.configure_meter(**changes)
        return self.firmware

    def configure_meter(self, **changes):
        """Change `meter.json`; it counts at the next start."""
        self.meter_json.update(changes)
        (self.folder / "meter" / "meter.json").write_text(json.dumps(self.meter_json))

    def lose_flash_state(self):
        """Delete the meter's two state slots: what a worn flash would do."""
        for slot in ("state0", "state1"):
            (self.folder / "meter" / "state" / slot).unlink(missing_ok=True)

    def oracle(self):
        """Return what the meter has written to flash, in order."""
        return read_oracle(self.folder / "meter" / "oracle.log")

    # -- twins

    def make_twin(self, epoch, epoch_id):
        """Provision the twin of an epoch; `start` it yourself."""
        folder = self.folder / f"twin-{epoch}"
        identity = folder / "identity"
        identity.mkdir(parents=True)
        bundle = self.authority.issue(
            identities.twin_identity(DEVICE, epoch, NAMESPACE), datetime.now(UTC)
        )
        (identity / "tls.crt").write_bytes(bundle.certificate)
        (identity / "tls.key").write_bytes(bundle.key)
        keys = {
            label: derive_key(K_METER, label, DEVICE, epoch, epoch_id).hex()
            for label in ("up", "down", "ctl")
        }
        document = {"device": DEVICE, "epoch": epoch, "epochId": epoch_id.hex(), **keys}
        (identity / "keys.json").write_text(json.dumps(document))
        plain, local, peer = free_ports(3)
        configuration = {
            "device": DEVICE,
            "epoch": epoch,
            "meteringPoint": "541448860000000001",
            "namespace": NAMESPACE,
            "broker": {"host": "localhost", "port": self.port},
            "capturePeriodSeconds": 60,
            "applications": {"metering-data": {}},
            "paths": {
                "identity": str(identity),
                "trust": str(self.folder / "ca.crt"),
                "store": str(folder / "store" / "twin.db"),
            },
            "ports": {"plain": plain, "local": local, "peer": peer},
        }
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}/wire/src:{ROOT}/twin/src",
            "METERTWIN_CONFIG": json.dumps(configuration),
        }
        twin = Process(
            f"twin-{epoch}", [sys.executable, "-m", "meter_twin"], self.folder, environment
        )
        twin.epoch, twin.local = epoch, local
        twin.store = folder / "store" / "twin.db"
        self.twins[epoch] = twin
        return twin

    @property
    def twin(self):
        """The twin of the active epoch."""
        return self.twins[self.operator.active]

    def ask(self, method, path, body=None):
        """Return (status, JSON) of the active twin's local port."""
        data = json.dumps(body).encode() if body is not None else None
        url = f"http://127.0.0.1:{self.twin.local}{path}"
        request = urllib.request.Request(url, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    # -- the promise

    def start(self, **changes):
        """Start broker, operator, twin of epoch 1 and firmware."""
        self.start_broker()
        self.operator.start()
        self.operator.take_over()
        self.twin.start()
        self.make_firmware(**changes).start()

    def wait_stored(self, count=1, timeout_s=60):
        """Wait until the active twin has stored everything logged, at least `count` entries."""

        def arrived():
            logged = self.oracle()
            ledger = read_store(self.twin.store)
            missing = [one for one in logged if one not in ledger.entries and one not in ledger]
            return len(logged) >= count and not missing

        wait_for(arrived, "every entry of the oracle is stored or declared", timeout_s, 0.25)

    def check(self, allowed_reasons=()):
        """Compare the oracle with the active twin's store; return the store's ledger."""
        logged = self.oracle()
        ledger: Ledger = read_store(self.twin.store)
        ledger.verify(logged, self.oracle(), allowed_reasons)
        return ledger

    def close(self):
        """End every process that this world started."""
        self.operator.stop()
        for process in (self.firmware, *self.twins.values(), self.broker):
            if process is not None:
                process.kill()
