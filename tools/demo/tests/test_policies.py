"""What a meter's try to reach a twin says of NetworkPolicies; the try itself on MicroPython."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[1]
MICROPYTHON = DEMO.parent / "micropython/micropython"
JUDGE = "import sys, policies; print(policies.judge(sys.argv[1]))"
SCRIPT = "import sys, policies; print(policies.TRY_TO_REACH.format(address=sys.argv[1], port=sys.argv[2]))"


def ask(code: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(DEMO), "PYTHONDONTWRITEBYTECODE": "1"},
    ).stdout.strip()


def attempt(address: str, port: int) -> str:
    """Let MicroPython try, as in a meter's pod, and return the verdict."""
    script = ask(SCRIPT, address, str(port))
    done = subprocess.run(
        [MICROPYTHON, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return ask(JUDGE, done.stdout)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        pytest.param("reached\n", "reached", id="a connection came through"),
        pytest.param(f"{errno.ETIMEDOUT}\n", "held", id="nobody answers: a policy drops"),
        pytest.param(str(errno.EHOSTUNREACH), "held", id="no route: a policy rejects"),
        pytest.param(str(errno.ECONNREFUSED), "refused", id="refused is no proof of a policy"),
        pytest.param(str(errno.EPERM), "untried", id="the meter's own node forbids sockets"),
        pytest.param("[addrinfo error -2]", "untried", id="the address is none"),
        pytest.param("None", "untried", id="an error without a number"),
        pytest.param("", "untried", id="nothing was said"),
    ],
)
def test_only_silence_and_no_route_count_as_held(said: str, verdict: str) -> None:
    assert ask(JUDGE, said) == verdict


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        yield listening.getsockname()


def test_a_port_that_takes_connections_is_reached(server: tuple[str, int]) -> None:
    assert attempt(*server) == "reached"


def test_a_port_that_stays_silent_is_held(server: tuple[str, int]) -> None:
    waiting = [socket.socket() for _ in range(3)]  # the queue is full: the kernel drops the next
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(server)
    try:
        assert attempt(*server) == "held"
    finally:
        for one in waiting:
            one.close()


def test_a_port_that_refuses_is_not_held() -> None:
    with socket.socket() as bound:  # bound and not listening: nobody else gets the port
        bound.bind(("127.0.0.1", 0))
        assert attempt(*bound.getsockname()) == "refused"


def test_no_address_is_untried() -> None:
    assert attempt("", 8443) == "untried"
