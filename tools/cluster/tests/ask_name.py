"""Ask a DNS server for the IPv4 address of a name: `ask_name.py SERVER PORT NAME`."""

import socket
import struct
import sys


def query(name: str) -> bytes:
    """A question for the A record of `name` (RFC 1035, 4.1)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


def ask(address: tuple[str, int], question: bytes) -> bytes:
    """The answer, asked for as a resolver does: a datagram may be lost, three times hardly."""
    for _ in range(3):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(2)
            client.sendto(question, address)
            try:
                return client.recv(512)
            except TimeoutError:
                print(f"{address[0]} is silent for 2 s, asking again", file=sys.stderr)
    sys.exit(f"no answer from {address[0]} to three questions")


def main() -> None:
    """Print the address, the last four bytes of a short answer's first record."""
    server, port, name = sys.argv[1:]
    answer = ask((server, int(port)), query(name))
    if struct.unpack(">H", answer[6:8])[0] < 1:
        sys.exit(f"no answer for {name}")
    print(socket.inet_ntoa(answer[-4:]) if len(answer) < 300 else "long answer")


if __name__ == "__main__":
    main()
