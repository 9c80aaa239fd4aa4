"""Rendered manifests, certificates, a real broker on loopback and its clients."""

import contextlib
import datetime as dt
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from loopback import free_ports
from mqtt_client import WAIT_S, Client

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "metertwin"


def run_helm(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [ROOT / "tools" / "chart" / "helm", *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="session")
def helm():
    return run_helm


@pytest.fixture(scope="session")
def render():
    """Render the chart with one ci values file and settings; return the manifests."""
    cache = {}

    def rendered(values: str = "default", *settings: str) -> list[dict]:
        if (values, settings) not in cache:
            extra = [part for setting in settings for part in ("--set", setting)]
            file = CHART / "ci" / f"{values}-values.yaml"
            done = run_helm("template", "metertwin", str(CHART), "-n", "metertwin-demo", "-f", str(file), *extra)  # fmt: skip
            assert done.returncode == 0, done.stderr
            cache[values, settings] = [d for d in yaml.safe_load_all(done.stdout) if d]
        return cache[values, settings]

    return rendered


class Authority:
    """A certificate authority that writes PEM files."""

    def __init__(self, folder: Path, name: str = "test CA") -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(self._sign(self.name, self.key, ca=True))

    def _sign(self, subject, key, *, ca=False, dns=()):
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(minutes=1))
        builder = builder.not_valid_after(now + dt.timedelta(hours=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)  # fmt: skip
        if dns:
            names = [x509.DNSName(name) for name in dns]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    def issue(self, common_name: str, *, dns=()) -> tuple[Path, Path]:
        """Return (certificate, key) files of a new key."""
        stem = self.folder / common_name.encode().hex()
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate, private = stem.with_suffix(".crt"), stem.with_suffix(".key")
        certificate.write_bytes(self._sign(subject, key, dns=dns))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, private


class Broker:
    """Mosquitto with the chart's files, plus a port without rules for the observer."""

    def __init__(self, folder: Path, data: dict[str, str]) -> None:
        self.folder = folder
        self.port, self.open_port, self.constrained_port = free_ports(3)
        self.renewal_port, self.bridge_port = free_ports(2)
        for name in ("config", "tls", "trust", "data", "passwords"):
            (folder / name).mkdir(parents=True)
        self.authority = Authority(folder / "trust")
        self.install_certificate()
        (folder / "config" / "passwords").touch()
        for name, text in data.items():
            (folder / "config" / name).write_text(self.adapt(name, text))
        self.clients: list[Client] = []
        self.process: subprocess.Popen | None = None
        self.renewal: subprocess.Popen | None = None
        self.reload: subprocess.Popen | None = None

    def adapt(self, name: str, text: str) -> str:
        """Return a file of the chart with this broker's paths and ports."""
        changes = {
            "/mosquitto/": f"{self.folder}/",
            "listener 8883": f"listener {self.port} localhost",
            "listener 1883": f"listener {self.constrained_port} localhost",
            "listener 8884": f"listener {self.renewal_port} localhost",
            "listener 18840": f"listener {self.bridge_port}",
            "127.0.0.1:18840": f"127.0.0.1:{self.bridge_port}",
            # Statistics are off; here they are on, so that the rules have something to deny.
            "sys_interval 0": "sys_interval 1",
        }
        for old, new in changes.items():
            text = text.replace(old, new)
        if name == "mosquitto.conf":
            # As root Mosquitto would become another user; in the cluster it starts as 65532.
            text += f"\nlistener {self.open_port} localhost\nallow_anonymous true\nuser root\n"
        return f"{text}\nuser root\n" if name == "renewal.conf" else text

    def install_certificate(self) -> None:
        for source, name in zip(
            self.authority.issue("metertwin-mosquitto", dns=["localhost"]),
            ("tls.crt", "tls.key"),
            strict=True,
        ):
            target = self.folder / "tls" / name
            shutil.copy(source, target)
            target.chmod(0o644)

    def start(self) -> None:
        if self.renewal is None and (self.folder / "config" / "renewal.conf").exists():
            self.start_renewal()
        self.process = self.launch("mosquitto.conf", self.open_port)

    def start_renewal(self) -> None:
        """Run the broker of the renewal port, which is a container of its own."""
        self.renewal = self.launch("renewal.conf", self.renewal_port)

    def launch(self, name: str, port: int) -> subprocess.Popen:
        """Run a Mosquitto with a file of the chart and wait until it listens."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                ["mosquitto", "-c", self.folder / "config" / name],
                stderr=log,
                stdout=log,
                env={"PATH": "/usr/sbin:/usr/bin:/bin"},
            )
        end = time.monotonic() + WAIT_S
        while True:
            try:
                socket.create_connection(("localhost", port), timeout=1).close()
            except OSError:
                assert process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < end
                time.sleep(0.02)
            else:
                return process

    def start_reload(self, process: subprocess.Popen | None = None) -> None:
        """Run the container that watches what is mounted, for one process of this broker only."""
        process = process or self.process
        names = ("config", "tls", "trust", "passwords")
        watched = " ".join(str(self.folder / name) for name in names)
        self.reload = subprocess.Popen(
            [sys.executable, self.folder / "config" / "reload.py"],
            env={"WATCHED": watched, "PERIOD_SECONDS": "0.2", "PROCESS": str(process.pid)},
        )

    def stop(self) -> None:
        if self.reload is not None:
            self.reload.terminate()
            self.reload.wait(timeout=WAIT_S)
        for client in self.clients:
            with contextlib.suppress(Exception):
                client.close()
        for process in filter(None, (self.process, self.renewal)):
            process.terminate()
            process.wait(timeout=WAIT_S)

    def context(self, common_name: str | None, authority: Authority | None = None):
        context = ssl.create_default_context(cafile=self.authority.ca)
        if common_name is not None:
            context.load_cert_chain(*(authority or self.authority).issue(common_name))
        return context

    def client(self, common_name: str, **options) -> Client:
        """Return a client with the certificate of `common_name`, not yet connected."""
        client = Client(self.port, self.context(common_name), **options)
        self.clients.append(client)
        return client

    def connected(self, common_name: str, **options) -> Client:
        client = self.client(common_name, **options)
        assert client.connect() == 0
        return client

    def observer(self) -> Client:
        """Return a client that no rule holds back."""
        client = Client(self.open_port)
        self.clients.append(client)
        assert client.connect() == 0
        return client


@pytest.fixture
def start_broker(render, tmp_path):
    """Start brokers with the chart's files; returns a function (values, *settings)."""
    started = []

    def start(values: str = "default", *settings: str, before=lambda _broker: None) -> Broker:
        (config,) = [
            manifest["data"]
            for manifest in render(values, *settings)
            if manifest["kind"] == "ConfigMap"
            and manifest["metadata"]["name"].endswith("mosquitto")
        ]
        broker = Broker(tmp_path / f"broker{len(started)}", config)
        before(broker)
        broker.start()
        started.append(broker)
        return broker

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture
def broker(start_broker):
    return start_broker()
