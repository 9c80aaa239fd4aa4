"""HMAC-SHA256 and HKDF on hashlib.sha256 alone, and the keys of a meter derived with them.

MicroPython has no hmac module. Labels and salt are the contract of docs/reference/contracts.md.
Used by `frame` and `owner`; the fleet's side (master key to K_meter) is `meter_wire.fleet_keys`.
"""

from hashlib import sha256

SALT = b"metertwin/v1"
NO_EPOCH_ID = bytes(16)


def hmac_sha256(key: bytes, *parts: "bytes | memoryview") -> bytes:
    """Return the 32 bytes of HMAC-SHA256 over the concatenated parts (RFC 2104)."""
    if len(key) > 64:
        key = sha256(key).digest()
    pad = bytearray(64)  # a list of its octets would be 256 bytes in one piece
    pad[: len(key)] = key
    for position in range(64):
        pad[position] ^= 0x36
    inner = sha256(pad)
    for part in parts:
        inner.update(part)
    for position in range(64):
        pad[position] ^= 0x36 ^ 0x5C
    outer = sha256(pad)
    outer.update(inner.digest())
    return outer.digest()


def mac16(key: bytes, *parts: "bytes | memoryview") -> bytes:
    """Return HMAC-SHA256 truncated to 16 bytes (RFC 2104, section 5)."""
    return hmac_sha256(key, *parts)[:16]


def same(one: bytes, other: bytes) -> bool:
    """Compare two byte strings in time that does not depend on where they differ."""
    if len(one) != len(other):
        return False
    differing = 0
    for position in range(len(one)):
        differing |= one[position] ^ other[position]
    return differing == 0


def hkdf_sha256(secret: bytes, info: bytes, salt: bytes = SALT) -> bytes:
    """Return 32 bytes: HKDF extract and one block of expand (RFC 5869)."""
    return hmac_sha256(hmac_sha256(salt, secret), info, b"\x01")


def derive_key(
    meter_key: bytes, label: str, device: str, epoch: int = 0, epoch_id: bytes = NO_EPOCH_ID
) -> bytes:
    """Return K(label): labels `up`, `down`, `ctl` of an epoch, the others without one.

    Args:
        meter_key: K_meter, 32 bytes.
        label: `up`, `down`, `ctl`, `owner`, `hello`, `renew` or `renewed`.
        device: device id.
        epoch: number of the epoch, 0 where there is none.
        epoch_id: its 16 random bytes, zeros where there is none.
    """
    info = label.encode() + b"\0" + device.encode() + b"\0" + epoch.to_bytes(4, "big") + epoch_id
    return hkdf_sha256(meter_key, info)
