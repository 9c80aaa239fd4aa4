"""The oracle's log (unix port, tests): a line for each entry, durable before anything else happens.

What it names must reach the twin exactly once. It holds identities and hashes, never a value.
Neighbours: `recorder` writes it in the whole firmware, `hal.unix_small` in the small one's process.
"""

import binascii
from hashlib import sha256


class Oracle:
    """Lines `append|recovered|boot incarnation seq kind hash`; every line is synchronised."""

    def __init__(self, path: str) -> None:
        """Open for appending."""
        self._file = open(path, "a")

    def begin(self, incarnation: bytes, head: int, last) -> None:
        """Write what a start has found; a kill may have left the last entry out of the log.

        Args:
            incarnation: of the ring.
            head: number of the last entry.
            last: what the ring returns for it, None if that is gone.
        """
        self.write("boot", incarnation, head, b"")
        if last is not None:
            self.write("recovered", incarnation, head, last[0])

    def write(self, what: str, incarnation: bytes, seq: int, content: bytes) -> None:
        """Write one line; the hash is the first eight octets of SHA-256 over the entry."""
        kind = content[0] if content else 0
        digest = binascii.hexlify(sha256(content).digest()[:8]).decode()
        name = binascii.hexlify(incarnation).decode()
        self._file.write("%s %s %d %d %s\n" % (what, name, seq, kind, digest))
        self._file.flush()
