"""Whom a meter knows by its anchors, and how it sees that it is not let in: TLS 1.2 and 1.3.

A real Mosquitto with a listener for each CA, the firmware's own connection on MicroPython.
"""

import os
import pathlib
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from harness import DEVICE, MICROPYTHON, NAMESPACE, ROOT
from loopback import free_port, free_ports
from meter_pki import authority, identities
from processes import Process, connects, wait_for

pytestmark = pytest.mark.timeout(120)
ONLY_1_2 = """openssl_conf = default
[default]
ssl_conf = all
[all]
system_default = version
[version]
MaxProtocol = TLSv1.2
"""
TRIES = """
import asyncio, sys
from mqtt_shell import MqttShell
from tls_client import tls_context, unverified_context

def read(name):
    with open("FOLDER/" + name, "rb") as file:
        return file.read()

async def dial(port, context):
    shell = MqttShell("house-1", None)
    try:
        await shell.connect("127.0.0.1", int(port), context, "localhost")
        found = "in"
    except (OSError, ValueError):
        found = "out"
    print(found, "reached" if shell.reached else "away")
    shell.abort()

async def main():
    for row in sys.argv[1:]:
        anchors, pair, port = row.split(":")
        await dial(port, tls_context(
            [read(name + ".der") for name in anchors.split(",")],
            *[read(pair + end) for end in (".crt.der", ".key.der")]
        ) if anchors else unverified_context())

asyncio.run(main())
"""


class Site:
    """A broker whose certificate is of CA A, B or C by port; it lets in what A has signed."""

    def __init__(self, folder: pathlib.Path, *, only_1_2: bool) -> None:
        self.folder = folder
        folder.chmod(0o755)
        now = datetime.now(UTC)
        made = {name: authority.Authority.create(now) for name in "ABC"}
        for name, one in made.items():
            (folder / f"{name}.der").write_bytes(authority.pem_to_der(one.certificate_pem))
            (folder / f"{name}.pem.der").write_bytes(one.certificate_pem)
            self.issue(f"meter{name}", one, now)
        self.issue("ended", made["A"], now - timedelta(days=60))
        (folder / "ca.crt").write_bytes(made["A"].certificate_pem)
        self.ports = dict(zip("ABC", free_ports(3), strict=True))
        lines = [
            "per_listener_settings true",
            f"user {'root' if os.getuid() == 0 else 'mosquitto'}",
        ]
        for name, port in self.ports.items():
            identity = identities.broker_identity(NAMESPACE, extra=("localhost",))
            bundle = made[name].issue(identity, now)
            (folder / f"{name}.crt").write_bytes(bundle.certificate)
            (folder / f"{name}.key").write_bytes(bundle.key)
            (folder / f"{name}.key").chmod(0o644)
            lines += [f"listener {port} 127.0.0.1", f"cafile {folder}/ca.crt"]
            lines += [f"certfile {folder}/{name}.crt", f"keyfile {folder}/{name}.key"]
            lines += ["require_certificate true", "use_identity_as_username true"]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        (folder / "openssl.cnf").write_text(ONLY_1_2)
        environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"}
        if only_1_2:
            environment["OPENSSL_CONF"] = str(folder / "openssl.cnf")
        command = ["mosquitto", "-c", str(folder / "mosquitto.conf")]
        self.broker = Process("broker", command, folder, environment)

    def issue(self, name: str, issuer: authority.Authority, issued_at: datetime) -> None:
        """Write a certificate of the meter."""
        bundle = issuer.issue(identities.meter_identity(DEVICE), issued_at)
        certificate = authority.pem_to_der(bundle.certificate)
        (self.folder / f"{name}.crt.der").write_bytes(certificate)
        (self.folder / f"{name}.key.der").write_bytes(authority.key_to_der(bundle.key))

    def dial(self, arch: str, *rows: tuple[str, str, int]) -> list[str]:
        """Return what each try found: (anchors, own certificate, port); no anchors: unverified."""
        script = self.folder / "tries.py"
        script.write_text(TRIES.replace("FOLDER", str(self.folder)))
        path = f"{ROOT}/firmware/src:{ROOT}/wire/src:.frozen"
        told = [f"{anchors}:{pair}:{port}" for anchors, pair, port in rows]
        done = subprocess.run(
            [str(MICROPYTHON), "--arch", arch, str(script), *told],
            env={**os.environ, "MICROPYPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()


@pytest.fixture(params=[False, True], ids=["tls1.3", "tls1.2"])
def site(tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A broker with the newest TLS, or with TLS 1.2."""
    made = Site(tmp_path, only_1_2=request.param)
    made.broker.start()
    wait_for(lambda: all(connects(port) for port in made.ports.values()), "the broker listens")
    yield made
    made.broker.kill()


@pytest.mark.parametrize("arch", ["amd64", "i386"])
def test_each_of_two_anchors_counts_and_no_other(site: Site, arch: str) -> None:
    a, b, c = site.ports.values()
    assert site.dial(
        arch,
        *[(anchors, "meterA", port) for anchors in ("A,B", "B,A") for port in (a, b, c)],
        *[("A.pem,B.pem", "meterA", port) for port in (a, b, c)],
        *[("A", "meterA", port) for port in (a, b)],
    ) == [*(["in reached"] * 2 + ["out reached"]) * 3, "in reached", "out reached"]


@pytest.mark.parametrize("arch", ["amd64", "i386"])
def test_who_is_not_let_in_sees_that_the_broker_is_there(site: Site, arch: str) -> None:
    port = site.ports["A"]
    assert site.dial(
        arch,
        ("A", "ended", port),
        ("A", "meterB", port),
        ("", "", port),
        ("A", "meterA", free_port()),
        ("A", "meterA", port),
    ) == ["out reached", "out reached", "out reached", "out away", "in reached"]
