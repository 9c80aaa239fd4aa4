"""The archive's PostgreSQL: what it keeps, whom it lets in, and its certificate's renewal."""

import asyncio
import contextlib
import socket
import ssl
import struct
import time
import uuid

import asyncpg
import pytest
from broker_port import build_context, forwarded_port
from demo import (
    find_process,
    get,
    is_pod_ready,
    kill,
    kubectl,
    restarts,
    secret,
    skip_elsewhere,
    twin_of,
    until,
)

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(300)]
DATABASE = "metertwin-postgres"
POD = f"{DATABASE}-0"
SERVER, CLIENT = f"{DATABASE}-tls", "metertwin-archive-database-tls"
REFUSED = asyncpg.InvalidAuthorizationSpecificationError
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def query(text):
    """Ask as the superuser, who exists inside the pod alone."""
    return kubectl("exec", POD, "-c", "postgres", "--", "psql", "-qAtc", text).stdout.strip()


@pytest.fixture
def table():
    """Give a table with a line in it that was committed; it is gone afterwards."""
    name = f"kept_{uuid.uuid4().hex[:8]}"
    query(f"CREATE TABLE {name} AS SELECT 42 AS value")
    yield name
    query(f"DROP TABLE {name}")


def wait_for_another(before):
    """Wait until PostgreSQL is Ready in another container than before, maybe of another pod."""

    def life(pod):
        return pod["metadata"]["uid"], restarts(pod)

    def is_back():
        pod = get("pod", POD)
        assert life(pod) != life(before)
        return is_pod_ready(pod)

    until(is_back, "PostgreSQL runs again")


def context_of(folder, credentials):
    """Return how one of the Secrets of certificates presents itself; none presents nothing."""
    anchors = secret(CLIENT)["ca.crt"]
    if credentials:
        return build_context(folder, anchors, credentials["tls.crt"], credentials["tls.key"])
    context = ssl.create_default_context(cadata=anchors.decode())
    context.check_hostname = False
    return context


@contextlib.contextmanager
def session(context):
    """Give a function that asks in one session of the archive's user, through the Service's port."""
    with forwarded_port(DATABASE, 5432) as port, asyncio.Runner() as runner:
        who = {"user": "metertwin", "database": "metertwin"}
        opened = runner.run(asyncpg.connect(host="127.0.0.1", port=port, ssl=context, **who))
        try:
            yield lambda text: runner.run(opened.fetchval(text))
        finally:
            runner.run(opened.close())


def shown_certificate():
    """Return the certificate that PostgreSQL shows to whoever asks for TLS."""
    with (
        forwarded_port(DATABASE, 5432) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
    ):
        plain.sendall(SSL_REQUEST)
        assert plain.recv(1) == b"S"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as wrapped:
            return ssl.DER_cert_to_PEM_cert(wrapped.getpeercert(binary_form=True))


def test_what_was_committed_outlives_the_process_and_the_pod(table):
    pod = get("pod", POD)
    process = find_process(pod)
    if process is None:
        skip_elsewhere()
    kill(process)
    wait_for_another(pod)
    assert query(f"SELECT value FROM {table}") == "42"

    pod = get("pod", POD)
    kubectl("delete", "pod", POD, "--wait")
    wait_for_another(pod)
    assert query(f"SELECT value FROM {table}") == "42"
    log = kubectl("logs", POD, "-c", "postgres").stdout
    assert "not properly shut down" not in log, "it was asked to end, and not killed"


# asyncpg leaves the connection to the garbage collector when the server refuses during TLS
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_the_archive_is_let_in_by_its_certificate_and_nobody_by_another_of_the_same_ca(tmp_path):
    with session(context_of(tmp_path / "own", secret(CLIENT))) as ask:
        assert ask("SELECT current_user::text") == "metertwin"
        assert not ask("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    twin = secret(twin_of("house-1")["metadata"]["name"])
    for context, reason in (
        (context_of(tmp_path / "twin", twin), "certificate authentication failed"),
        (context_of(tmp_path / "server", secret(SERVER)), "certificate authentication failed"),
        (context_of(tmp_path, None), "requires a valid client certificate"),
        (False, "no encryption"),
    ):
        with pytest.raises(REFUSED, match=reason), session(context):
            pytest.fail(f"let in, and not refused: {reason}")


def test_a_renewed_certificate_is_shown_and_no_session_ends(tmp_path):
    job = f"renew-{uuid.uuid4().hex[:8]}"
    with session(context_of(tmp_path, secret(CLIENT))) as ask:
        before, process = shown_certificate(), ask("SELECT pg_backend_pid()")
        kubectl("delete", "secret", SERVER)
        kubectl("create", "job", job, "--from=cronjob/metertwin-pki")
        kubectl("wait", "--for=condition=Complete", f"job/{job}", "--timeout=120s")
        kubectl("delete", "job", job)
        # A change of the pod has the kubelet look at its Secrets at once, not within a minute.
        kubectl("annotate", "pod", POD, f"metertwin.io/looked={time.time_ns()}", "--overwrite")
        renewed = secret(SERVER)["tls.crt"].decode()
        assert renewed != before
        until(lambda: shown_certificate() == renewed, "PostgreSQL shows the renewed certificate")
        assert ask("SELECT pg_backend_pid()") == process
