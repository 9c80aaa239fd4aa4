"""Keys of the fleet: K_meter from the fleet master key. Operator and provision only."""

from meter_wire.portable.keys import hkdf_sha256


def derive_meter_key(master: bytes, device: str, key_version: int) -> bytes:
    """Return K_meter, 32 bytes (docs/reference/contracts.md, Keys)."""
    info = b"meter\0" + device.encode() + b"\0" + key_version.to_bytes(4, "big")
    return hkdf_sha256(master, info)
