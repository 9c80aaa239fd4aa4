"""MicroPython judges the dates of a broker's certificate by its own clock (mbedTLS), unasked.

Why `timekeeper` sets the clock of a board. The ESP32's build does so since 1.22
(ports/esp32/boards/sdkconfig.base, CONFIG_MBEDTLS_HAVE_TIME_DATE); this is the unix port's.
"""

import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "tools/micropython/micropython"
CLIENT = """
import socket, sys
sys.path[:0] = [sys.argv[1]]
from tls_client import tls_context
with open(sys.argv[3], "rb") as file:
    context = tls_context([file.read()])
plain = socket.socket()
plain.connect(socket.getaddrinfo("127.0.0.1", int(sys.argv[2]))[0][-1])
try:
    context.wrap_socket(plain, server_hostname="broker").read(1)
except (OSError, ValueError) as error:
    print(error)
else:
    print("taken")
"""


def write_certificate(folder, begin, end):
    """Write a certificate of `broker`, its own anchor, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(begin).not_valid_after(end)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("broker")]), False)
    builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    signed = builder.sign(key, hashes.SHA256())
    (folder / "broker.der").write_bytes(signed.public_bytes(serialization.Encoding.DER))
    (folder / "broker.pem").write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def serve_once(listener, folder):
    """Shake hands with one client, or be refused by it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "broker.pem")
    line = listener.accept()[0]
    try:
        with context.wrap_socket(line, server_side=True) as session:
            session.sendall(b"!")
    except OSError:
        line.close()


@pytest.mark.parametrize(
    ("from_days", "to_days", "said"),
    [(-1, 1, "taken"), (1, 2, "starts in the future"), (-2, -1, "expired")],
)
def test_a_broker_is_taken_within_the_dates_of_its_certificate_alone(
    tmp_path, from_days, to_days, said
):
    now = datetime.now(UTC)
    write_certificate(tmp_path, now + timedelta(from_days), now + timedelta(to_days))
    (tmp_path / "client.py").write_text(CLIENT)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve_once, args=(listener, tmp_path))
        server.start()
        port = str(listener.getsockname()[1])
        client = [LAUNCHER, tmp_path / "client.py", ROOT / "firmware/src", port]
        done = subprocess.run(
            [*client, tmp_path / "broker.der"], capture_output=True, text=True, check=False
        )
        server.join(10)
    assert said in done.stdout, done.stdout + done.stderr
