"""Real processes on loopback: Mosquitto with mutual TLS, twins, the firmware, a small operator.

The firmware's oracle log says what it has written to flash; `World.check` compares it with the
store of the active twin: every entry exactly once, unchanged, in order, the chain of hashes whole.
Nothing here is patched or simulated but the operator, which plays the published contract: owner
record and `ctl` retained, again at each reconnect and for each owner hello.

Neighbours: `processes`, `oracle` (the comparison), `operator_role` (the operator),
`broker_configuration`.
"""

import contextlib
import json
import os
import pathlib
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from broker_configuration import build_configuration
from loopback import free_port, free_ports
from meter_pki import authority, identities
from meter_wire.portable.keys import derive_key
from operator_role import OperatorRole
from oracle import Contents, Identity, Ledger, read_oracle, read_store
from processes import Process, connects, wait_for

ROOT = pathlib.Path(__file__).parents[2]
DEVICE = "house-1"
NAMESPACE = "test"
K_METER = bytes(range(32))
MICROPYTHON = ROOT / "tools/micropython/micropython"


class Twin(Process):
    """The twin of one epoch, its ports and its store."""

    plain: int
    local: int
    store: pathlib.Path


class World:
    """Files, ports and processes of one test."""

    listen_on = "127.0.0.1"
    """The address of the broker's listener, and what owner records call it."""
    broker_name = "localhost"
    more_than_a_ring = 45
    """Entries that surely do not fit into a ring of 4096 bytes."""

    def __init__(self, folder: pathlib.Path, k_meter: bytes = K_METER) -> None:
        self.folder = folder
        self.k_meter = k_meter
        folder.chmod(0o755)
        self.port = free_port()
        self.authority = authority.Authority.create(datetime.now(UTC))
        (folder / "ca.crt").write_bytes(self.authority.certificate_pem)
        self.twins: dict[int, Twin] = {}
        self.ems_port = free_port()
        self._issue("server", identities.broker_identity(NAMESPACE, extra=("localhost",)))
        self._issue("operator", identities.operator_identity())
        self.broker = self._broker()
        self._firmware: Process | None = None
        self.meter_json: dict[str, Any] = {}
        self.twin_settings: dict[str, Any] = {"capturePeriodSeconds": 1}
        self.operator = OperatorRole(self, DEVICE, k_meter)

    def _issue(self, name: str, identity: identities.Identity) -> authority.Bundle:
        bundle = self.authority.issue(identity, datetime.now(UTC))
        (self.folder / f"{name}.crt").write_bytes(bundle.certificate)
        (self.folder / f"{name}.key").write_bytes(bundle.key)
        (self.folder / f"{name}.key").chmod(0o644)
        return bundle

    def _broker(self) -> Process:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        if program is None:
            pytest.skip("mosquitto is missing: run `make deps`")
        self.configure_broker()
        return Process("broker", [program, "-c", str(self.folder / "mosquitto.conf")], self.folder)

    def configure_broker(
        self,
        *,
        persistence: bool = False,
        plain_port: int = 0,
        open_port: int = 0,
        renewal_port: int = 0,
    ) -> None:
        """Write the broker's configuration; it counts at the next start.

        Args:
            persistence: whether it keeps retained messages over a restart.
            plain_port: a listener for meters without TLS, as the chart's constrained one: it wants
                the passwords of the file `passwords`.
            open_port: a listener without rules and with free client ids, for an attacker.
            renewal_port: a listener that wants no certificate, for a meter whose own has ended.
        """
        ports = (self.port, plain_port, self.listen_on, renewal_port)
        lines = build_configuration(self.folder, *ports)
        if open_port:
            lines += [f"listener {open_port} 127.0.0.1", "allow_anonymous true"]
        if persistence:
            location = f"persistence_location {self.folder}/"
            lines += ["persistence true", location, "autosave_interval 1"]
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    @property
    def meter_broker(self) -> str:
        """The broker that owner records name, as host:port."""
        return f"{self.broker_name}:{self.port}"

    def start_broker(self) -> None:
        self.broker.start()
        wait_for(lambda: connects(self.port), "the broker listens")

    # -- the meter

    def make_firmware(self, arch: str = "amd64", **changes: Any) -> Process:
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
            "key": self.k_meter.hex(),
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
        environment = {**self.environment(), "MICROPYPATH": path}
        self.firmware = Process("firmware", command, self.folder, environment)
        self.configure_meter(**changes)
        return self.firmware

    def environment(self) -> dict[str, str]:
        """Return what the launcher of MicroPython needs to know."""
        wanted = ("PATH", "HOME", "METERTWIN_CACHE", "METERTWIN_DEBIAN_MIRROR")
        return {name: os.environ[name] for name in wanted if name in os.environ}

    @property
    def firmware(self) -> Process:
        """The meter's process, once there is one."""
        assert self._firmware is not None
        return self._firmware

    @firmware.setter
    def firmware(self, process: Process) -> None:
        self._firmware = process

    def configure_meter(self, **changes: Any) -> None:
        """Change `meter.json`; it counts at the next start."""
        self.meter_json.update(changes)
        (self.folder / "meter" / "meter.json").write_text(json.dumps(self.meter_json))

    def lose_flash_state(self) -> None:
        """Delete the meter's two state slots: what a worn flash would do."""
        for slot in ("state0", "state1"):
            (self.folder / "meter" / "state" / slot).unlink(missing_ok=True)

    def oracle(self) -> Contents:
        """Return what the meter has written to flash, in order."""
        return read_oracle(self.folder / "meter" / "oracle.log")

    # -- twins

    def make_twin(self, epoch: int, epoch_id: bytes) -> Twin:
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
            label: derive_key(self.k_meter, label, DEVICE, epoch, epoch_id).hex()
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
            "applications": {"metering-data": {}},
            "paths": {
                "identity": str(identity),
                "trust": str(self.folder / "ca.crt"),
                "store": str(folder / "store" / "twin.db"),
            },
            "ports": {"plain": plain, "local": local, "peer": peer},
            **self.twin_settings,
        }
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}/wire/src:{ROOT}/twin/src",
            "METERTWIN_CONFIG": json.dumps(configuration),
        }
        command = [sys.executable, "-m", "meter_twin"]
        twin = Twin(f"twin-{epoch}", command, self.folder, environment)
        twin.plain, twin.local, twin.store = plain, local, folder / "store" / "twin.db"
        self.twins[epoch] = twin
        return twin

    @property
    def twin(self) -> Twin:
        """The twin of the active epoch."""
        return self.twins[self.operator.active]

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return (status, JSON) of the active twin's local port."""
        data = json.dumps(body).encode() if body is not None else None
        url = f"http://127.0.0.1:{self.twin.local}{path}"
        request = urllib.request.Request(url, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    # -- the promise

    def start(self, **changes: Any) -> None:
        """Start broker, operator, twin of epoch 1 and firmware."""
        self.start_broker()
        self.operator.start()
        self.operator.take_over()
        self.twin.start()
        self.make_firmware(**changes).start()

    def wait_stored(self, count: int = 1, timeout_s: float = 120) -> None:
        """Wait until the active twin has stored everything logged, at least `count` entries."""

        def arrived() -> bool:
            logged = self.oracle()
            return len(logged) >= count and not self._missing(logged)

        wait_for(arrived, "every entry of the oracle is stored or declared", timeout_s, 0.25)

    def _missing(self, logged: Contents) -> list[Identity]:
        """Return what the active twin has neither stored nor declared as a hole."""
        ledger = read_store(self.twin.store)
        return [one for one in logged if one not in ledger.entries and one not in ledger]

    def check(self, allowed_reasons: Iterable[int] = ()) -> Ledger:
        """Compare the oracle with the active twin's store; return the store's ledger.

        An entry that was logged a moment ago may still be on its way to the twin.
        """
        logged = self.oracle()
        with contextlib.suppress(AssertionError):  # what never arrives is named below
            wait_for(lambda: not self._missing(logged), "the last entries are stored", 60, 0.25)
        ledger = read_store(self.twin.store)
        ledger.verify(logged, self.oracle(), allowed_reasons)
        return ledger

    def close(self) -> None:
        """End every process that this world started."""
        self.operator.stop()
        for process in (self._firmware, *self.twins.values(), self.broker):
            if process is not None:
                process.kill()
