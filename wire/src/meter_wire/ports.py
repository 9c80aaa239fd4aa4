"""What the links need from the process around them, as protocols (CPython only, for typing)."""

from typing import Protocol


class Ring(Protocol):
    """The meter's bounded flash ring of readings and events (one sequence, from 1)."""

    @property
    def incarnation(self) -> bytes:
        """Eight random bytes made when the flash state was created."""

    @property
    def oldest(self) -> int:
        """First number that is still held; head + 1 when nothing is."""

    @property
    def head(self) -> int:
        """Last number that was given, 0 before the first entry."""

    def read(self, seq: int) -> tuple[bytes, bytes] | None:
        """Return (entry, chain hash of seq - 1), None if seq lies in a hole."""

    def hole(self, seq: int) -> tuple[int, int]:
        """Return (last number of the hole that seq lies in, reason as in `tables.HOLES`).

        1 overflow: overwritten before any active twin acknowledged it; 2 reserved: never used;
        3 released: acknowledged once, overwritten since.
        """

    def release(self, stored: int, archived: int) -> None:
        """Note the marks of the active epoch: entries up to `stored` may be overwritten."""


class Blocks(Protocol):
    """AES with one key."""

    def encrypt(self, data: bytearray, into: bytearray) -> object:
        """Encrypt one block of 16 bytes of `data` into `into`."""


class Aes(Protocol):
    """What makes `Blocks`: MicroPython's `cryptolib.aes`, `libcrypto_aes.aes`."""

    def __call__(self, key: bytes, mode: int, /) -> Blocks:
        """Return AES in a mode (1 is ECB) with a key of 32 bytes."""


class Journal(Protocol):
    """Read access of the twin's link to its store."""

    def marks(self) -> "dict[bytes, Marks]":
        """Return what is stored, per incarnation."""

    def find_entry(self, incarnation: bytes, seq: int) -> bytes | None:
        """Return the stored bytes of an entry, None if there are none."""


class Marks:
    """Where a store stands in one incarnation of the meter."""

    def __init__(
        self,
        stored: int = 0,
        archived: int = 0,
        chain: bytes = bytes(16),
        hello: tuple[int, int] = (0, 0),
    ) -> None:
        """Begin with nothing stored.

        Args:
            stored: end of the contiguous stored prefix.
            archived: end of the contiguous archived prefix.
            chain: chain hash at `stored`, b"" if it is not known (after a lost stretch).
            hello: (boot, count) of the last hello accepted.
        """
        self.stored = stored
        self.archived = archived
        self.chain = chain
        self.hello = hello
