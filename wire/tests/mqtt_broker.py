"""A real Mosquitto on loopback for the tests: plain, and mutual TLS with a CA of its own."""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import time

import pytest


def make_certificates(folder: pathlib.Path) -> None:
    """Write ca.crt and EC certificates of `server` (127.0.0.1) and `meter`, as PEM and DER."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2",
            "-subj", "/CN=test CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    openssl("x509", "-in", "ca.crt", "-outform", "DER", "-out", "ca.der")
    for name, alt in (("server", "IP:127.0.0.1,DNS:localhost"), ("meter", "URI:urn:test:meter")):
        (folder / f"{name}.ext").write_text(f"subjectAltName={alt}\n")
        openssl(
            "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
        )
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt")  # fmt: skip
        openssl("x509", "-in", f"{name}.crt", "-outform", "DER", "-out", f"{name}.crt.der")
        openssl("ec", "-in", f"{name}.key", "-outform", "DER", "-out", f"{name}.key.der")


@contextlib.contextmanager
def mosquitto(folder: pathlib.Path, port: int, *, tls: bool = False):
    """Run Mosquitto on 127.0.0.1:`port` until the end of the block."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        pytest.skip("mosquitto is missing: apt-get install mosquitto")
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "set_tcp_nodelay true"]
    if tls:
        lines += [f"cafile {folder}/ca.crt", f"certfile {folder}/server.crt"]
        lines += [f"keyfile {folder}/server.key", "require_certificate true"]
        (folder / "server.key").chmod(0o644)
        folder.chmod(0o755)
    lines += [f"acl_file {folder}/acl", "user root"]
    (folder / "acl").write_text("topic readwrite mt/#\n")
    (folder / "acl").chmod(0o644)
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    with (folder / "mosquitto.log").open("a") as log:
        process = subprocess.Popen(
            [program, "-c", str(folder / "mosquitto.conf")], stdout=log, stderr=log
        )
        try:
            for _ in range(2000):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.05)
            else:
                raise AssertionError((folder / "mosquitto.log").read_text())
            yield process
        finally:
            process.terminate()
            process.wait(100)
