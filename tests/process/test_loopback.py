"""The ports that tests give to their servers belong to nobody else."""

import socket

import pytest
from loopback import free_port, free_ports
from processes import connects


def listen(port: int) -> socket.socket:
    """Listen as asyncio does: `create_server` sets SO_REUSEADDR."""
    return socket.create_server(("127.0.0.1", port))


def test_a_port_refuses_connections_whenever_its_server_is_down() -> None:
    port = free_port()
    for _ in range(3):
        assert not connects(port)
        with listen(port):
            assert connects(port)
            with pytest.raises(OSError, match="in use"):
                listen(port)


def test_a_port_stays_taken_before_and_after_its_server() -> None:
    for port in free_ports(2):
        for server in (None, listen(port)):
            if server is not None:
                server.close()
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))
