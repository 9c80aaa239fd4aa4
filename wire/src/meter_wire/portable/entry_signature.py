"""Source signatures of entries, for meters with a secure element."""

from hashlib import sha256

from .constant import const
from .entry import checked
from .tlv import field

_ENTRY_SIGNATURE = const(15)


def signed_digest(incarnation: bytes, seq: int, entry: bytes) -> bytes:
    """Return what a source signature covers; `entry` ends before the signature field."""
    return sha256(b"metertwin/v1 entry" + incarnation + seq.to_bytes(4, "big") + entry).digest()


def with_signature(entry: bytes, algorithm: int, signature: bytes) -> bytes:
    """Return the entry with its source signature, the last field.

    The signature covers `signed_digest`.

    Raises:
        ValueError: the entry is longer than `MAX_ENTRY`.
    """
    return checked(entry + field(_ENTRY_SIGNATURE, bytes([algorithm]) + signature))
