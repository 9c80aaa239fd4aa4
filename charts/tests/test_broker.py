"""The rest of the broker's settings, on a real Mosquitto: TLS, sizes, limits, reload, small boards."""

import contextlib
import ctypes
import itertools
import os
import socket
import ssl
import stat
import subprocess
import time
from pathlib import Path

import pytest

LIMIT = 1536
PIDFD_GETFD = 438
"""Number of the system call on every architecture; Python has no name for it."""
CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x1e\x00\x00"


def connack(port, context) -> bytes:
    """Return the broker's answer to a CONNECT, empty when it hangs up; may raise ssl.SSLError."""
    raw = socket.create_connection(("localhost", port), timeout=100)
    with raw, context.wrap_socket(raw, server_hostname="localhost") as wrapped:
        wrapped.send(CONNECT)
        return wrapped.recv(4)


def refused(broker, context, port: int = 0) -> bool:
    try:
        return connack(port or broker.port, context) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_a_client_without_a_certificate_is_refused(broker):
    assert not refused(broker, broker.context("house-1"))
    assert refused(broker, broker.context(None))


def test_a_certificate_of_another_authority_is_refused(broker, tmp_path):
    foreign = type(broker.authority)(tmp_path, "another CA")
    assert refused(broker, broker.context("house-1", foreign))


def test_plain_text_on_the_tls_port_is_refused(broker):
    with socket.create_connection(("localhost", broker.port), timeout=100) as plain:
        plain.send(CONNECT)
        try:
            answer = plain.recv(4)
        except ConnectionError:
            answer = b""
    assert answer[:1] != b"\x20"


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
def test_a_message_passes_up_to_the_limit_and_not_beyond(broker, size):
    observer = broker.observer()
    observer.subscribe("#")
    meter = broker.connected("house-1")
    meter.publish("mt/house-1/1/up", b"x" * size, 1)
    meter.publish("mt/house-1/2/up", b"barrier", 1)
    sizes = [len(payload) for _, payload, _ in observer.until("mt/house-1/2/up")]
    assert sizes == ([size, 7] if size <= LIMIT else [7])


def test_a_packet_beyond_the_limit_ends_the_connection(broker):
    meter = broker.connected("house-1")
    meter.publish("mt/house-1/1/up", b"x" * 4096, 1)
    meter.lost.get(timeout=100)


def test_connections_beyond_the_limit_are_refused(start_broker):
    broker = start_broker("default", "mosquitto.maxConnections=2")
    for name in ("house-1", "house-2"):
        broker.connected(name)
    assert refused(broker, broker.context("house-3"))


def sockets_of(process):
    """Yield copies of a child's connected TCP sockets (pidfd_getfd, Linux 5.6)."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.pidfd_open(process.pid)
    try:
        for path in Path(f"/proc/{process.pid}/fd").iterdir():
            copy = libc.syscall(PIDFD_GETFD, handle, int(path.name), 0)
            assert copy >= 0, os.strerror(ctypes.get_errno())
            if not stat.S_ISSOCK(os.fstat(copy).st_mode):
                os.close(copy)
                continue
            with socket.socket(fileno=copy) as found, contextlib.suppress(OSError):
                found.getpeername()
                yield found
    finally:
        os.close(handle)


def test_small_messages_are_not_held_back(broker):
    """Nagle's algorithm and a delayed acknowledgement cost each QoS 1 round trip 44 ms."""
    for name in ("house-1", "house-1/1"):
        broker.connected(name).subscribe("mt/house-1/owner")
    no_delay = [
        one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for one in sockets_of(broker.process)
        if one.getsockname()[1] == broker.port
    ]
    assert len(no_delay) == 2
    assert all(no_delay)


def certificate_of(broker, port: int) -> bytes:
    """Return the certificate that a port shows to a new connection."""
    context = broker.context("house-9")
    raw = socket.create_connection(("localhost", port), timeout=100)
    with raw, context.wrap_socket(raw, server_hostname="localhost") as wrapped:
        return wrapped.getpeercert(binary_form=True)


def renew_certificate(broker, port: int) -> None:
    """Give the broker another certificate and wait until a port shows it."""
    before = certificate_of(broker, port)
    end = time.monotonic() + 100
    for look in itertools.count():
        if look % 50 == 0:  # again, as the watcher may have begun with the first one
            broker.install_certificate()
        if certificate_of(broker, port) != before:
            break
        assert time.monotonic() < end, "the broker still shows the old certificate"
        time.sleep(0.1)


def test_a_renewed_certificate_is_taken_up_without_ending_a_session(broker):
    meter = broker.connected("house-1")
    meter.subscribe("mt/house-1/1/down")
    broker.start_reload()
    renew_certificate(broker, broker.port)
    assert meter.lost.empty()
    broker.observer().publish("mt/house-1/1/down", b"alive", 1)
    meter.until("mt/house-1/1/down")


def test_with_persistence_a_retained_record_outlives_a_restart(start_broker):
    broker = start_broker("full")
    operator = broker.connected("Operator.metertwin")
    operator.publish("mt/house-1/owner", b"record", 1, retain=True)
    operator.publish("mt/house-1/1/ctl", b"ctl", 1, retain=True)
    reader = broker.observer()
    reader.subscribe("mt/+/owner")
    reader.until("mt/house-1/owner")
    broker.process.terminate()
    broker.process.wait(timeout=100)
    broker.start()
    meter = broker.connected("house-1")
    meter.subscribe("mt/house-1/owner")
    assert meter.until("mt/house-1/owner") == [("mt/house-1/owner", b"record", True)]


def add_passwords(broker) -> None:
    """Write the password file of the constrained listener."""
    (broker.folder / "passwords" / "passwords").touch(mode=0o600)
    for user in ("board-1", "Operator.metertwin"):
        set_password(broker, user)


def set_password(broker, user: str) -> None:
    """Write a line of the password file; another salt each time."""
    file = broker.folder / "passwords" / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", file, user, "pw"], check=True, capture_output=True)


@pytest.fixture
def constrained(start_broker):
    """A broker with the constrained listener; returns (broker, function user -> client)."""
    broker = start_broker("constrained", before=add_passwords)
    client_class = type(broker.observer())

    def client(user: str, password: str = "pw", client_id: str = ""):
        made = client_class(broker.constrained_port, client_id=client_id, user=(user, password))
        broker.clients.append(made)
        return made

    return broker, client


def test_a_board_on_the_constrained_port_speaks_for_itself_only(constrained):
    broker, client = constrained
    observer = broker.observer()
    observer.subscribe("#")
    board = client("board-1")
    assert board.connect() == 0
    for topic in ("mt/house-1/1/up", "mt/house-1/hello", "mt/board-1/1/down", "mt/board-1/owner"):
        board.publish(topic, b"forbidden", 1, retain=True)
    board.publish("mt/board-1/1/up", b"own", 1)
    assert [payload for _, payload, _ in observer.until("mt/board-1/1/up")] == [b"own"]


def test_the_operator_has_no_rights_on_the_constrained_port(constrained):
    broker, client = constrained
    observer = broker.observer()
    observer.subscribe("#")
    false_operator = client("Operator.metertwin")
    assert false_operator.connect() == 0
    false_operator.publish("mt/house-1/owner", b"forbidden", 1, retain=True)
    false_operator.subscribe("mt/+/+/state")
    board = client("board-1")
    assert board.connect() == 0
    board.publish("mt/board-1/hello", b"own", 1)
    assert [payload for _, payload, _ in observer.until("mt/board-1/hello")] == [b"own"]


@pytest.mark.parametrize(("user", "password"), [("board-1", "wrong"), ("board-2", "pw")])
def test_the_constrained_port_wants_a_password(constrained, user, password):
    _, client = constrained
    assert client(user, password).connect() != 0


def test_a_board_that_is_added_later_is_let_in_and_no_session_ends(constrained):
    broker, client = constrained
    board = client("board-1")
    assert board.connect() == 0
    assert client("board-2").connect() != 0
    broker.start_reload()
    end = time.monotonic() + 100
    for look in itertools.count():
        if look % 20 == 0:  # again, as the watcher may have begun with the first one
            set_password(broker, "board-2")
        if client("board-2").connect() == 0:
            break
        assert time.monotonic() < end, "the broker does not know the new board"
        time.sleep(0.3)
    assert board.lost.empty()
