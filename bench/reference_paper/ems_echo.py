"""A home's energy management system that gives back what the twin forwards: `ems_echo.py PORT`.

Connects to the meter's EMS port on loopback, again whenever the connection ends, and answers each
FORWARD at once with the same octets (docs/reference/ems-port.md). Ends with its process group.
"""

import contextlib
import socket
import sys
import time

RETRY_S = 0.2


def answer(line: bytes) -> bytes:
    """Return the answer to a line of the meter, nothing for a line of a telegram."""
    words = line.split()
    if len(words) < 2 or words[0] != b"FORWARD":  # noqa: PLR2004 - with its number
        return b""
    return b" ".join([b"ANSWER", *words[1:3]]) + b"\r\n"


def serve(port: int) -> None:
    """Answer until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for line in connection.makefile("rb"):
            if said := answer(line):
                connection.sendall(said)


def main() -> None:
    """Stay connected."""
    while True:
        with contextlib.suppress(OSError):
            serve(int(sys.argv[1]))
        time.sleep(RETRY_S)


if __name__ == "__main__":
    main()
