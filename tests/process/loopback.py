"""Ports of loopback for servers that the tests start, safe beside other workers and other runs.

A port that was only probed may go to anybody before its server has it, or while its server is
down. So it stays bound until this process ends: the kernel then gives it to nobody who asks for
any port, nor to an outgoing connection, while a server that names it (with SO_REUSEADDR, as
Mosquitto and asyncio do) may listen on it, again and again. Until then connections are refused.

Neighbours: all suites import it; pyproject.toml has its folder in `pythonpath`.
"""

import socket

_HELD: list[socket.socket] = []


def free_ports(count: int) -> list[int]:
    """Return so many ports of loopback that nobody else gets while this process lives."""
    return [free_port() for _ in range(count)]


def free_port() -> int:
    """Return a port of loopback that nobody else gets while this process lives."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _HELD.append(held)
    port: int = held.getsockname()[1]
    return port
