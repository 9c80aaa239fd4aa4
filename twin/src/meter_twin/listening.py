"""The sockets of the three ports, opened before the long imports of a start.

A connection that comes while the twin still starts waits in the socket's queue and is answered
then. Refused, it would be a probe that failed, with an event and another try each second: on a node
where a hundred twins start at once, five for each. Neighbours: `process` opens, `ports` answers.
"""

import socket
from typing import NamedTuple

from .configuration import Configuration

ANY = "0.0.0.0"  # noqa: S104 - the pod's own address; the local API binds to loopback
LOOPBACK = "127.0.0.1"


class Listening(NamedTuple):
    """The sockets of the ports."""

    plain: socket.socket
    local: socket.socket
    peer: socket.socket


def listen(configuration: Configuration) -> Listening:
    """Listen on the three ports.

    Raises:
        OSError: a port is taken.
    """
    return Listening(
        socket.create_server((ANY, configuration.plain_port)),
        socket.create_server((LOOPBACK, configuration.local_port)),
        socket.create_server((ANY, configuration.peer_port)),
    )
