"""Golden orders of the utility for wire/vectors/link-v1.json: bytes, signatures, verdicts.

The signatures are deterministic (RFC 6979), so that the file is the same each time. The private
key is published here on purpose: it signs nothing but these vectors. Neighbour: `link_vectors`.
"""

from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from meter_wire.portable.order import Order, judge, verifier
from meter_wire.portable.tlv import number
from meter_wire.utility_order import (
    UtilityOrder,
    build_signed_message,
    encode_utility_order,
    pack_signature,
)

_PRIVATE = ec.derive_private_key(int.from_bytes(b"metertwin vectors".ljust(32)), ec.SECP256R1())
_POINT = _PRIVATE.public_key().public_numbers()
PUBLIC_KEY = _POINT.x.to_bytes(32, "big") + _POINT.y.to_bytes(32, "big")
NOW_S = 1_800_000_000
INCARNATION = b"incarnat"
METER = {
    "last_counter": 41,
    "incarnation": INCARNATION.hex(),
    "utc_s": NOW_S,
    "boot": 7,
    "uptime_s": 5000,
}
"""What the judging meter has and knows."""


def sign(order: bytes) -> bytes:
    """Return r and s of a deterministic signature."""
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    return pack_signature(_PRIVATE.sign(build_signed_message(order), algorithm))


def _orders(device: str) -> list[tuple[str, UtilityOrder]]:
    def build(action: str, counter: int, not_after: int, **more: Any) -> UtilityOrder:
        who = more.pop("device", device)
        return UtilityOrder(who, action, 7, "dso.example", not_after, counter, **more)

    late, soon = NOW_S - 1, NOW_S + 600
    return [
        ("disconnect", build("disconnect", 42, soon)),
        ("disconnect in its last second", build("disconnect", 42, NOW_S)),
        ("disconnect, expired", build("disconnect", 42, late)),
        ("disconnect, counter of an earlier order", build("disconnect", 41, soon)),
        ("disconnect another meter", build("disconnect", 42, soon, device="house-2")),
        ("arm, in this incarnation only", build("arm", 300, soon, incarnation=INCARNATION)),
        ("arm, in another incarnation", build("arm", 300, soon, incarnation=b"elsewher")),
        ("arm, in time by the uptime", build("arm", 42, soon, boot=7, uptime_s=5000)),
        ("arm, late by the uptime", build("arm", 42, soon, boot=7, uptime_s=4999)),
        ("arm, of an earlier boot", build("arm", 42, soon, boot=6, uptime_s=9999)),
        ("set the clock",
         build("set_clock", 42, late, utc_ms=1_800_086_400_123, boot=7, uptime_s=5000)),
        ("set the clock, late by the uptime",
         build("set_clock", 42, soon, utc_ms=1_800_086_400_123, boot=7, uptime_s=4999)),
    ]  # fmt: skip


def build_order_vectors(device: str) -> dict[str, Any]:
    """Return public key, the meter's state, and rows of name, order, signature, verdict.

    The verdict is "" for an order that is carried out, else the refusal's name.
    """
    genuine = verifier(PUBLIC_KEY)
    rows = []
    for name, order in _orders(device):
        data = encode_utility_order(order)
        assert genuine(data, sign(data))
        verdict = judge(Order(data), device, 41, INCARNATION, NOW_S, 7, 5000)
        rows.append([name, data.hex(), sign(data).hex(), verdict])
    data = encode_utility_order(_orders(device)[0][1])
    signature = sign(data)
    changed = data[:-1] + bytes([data[-1] ^ 1])
    rows.append(["another counter under the signature", changed.hex(), signature.hex(), "unsigned"])
    limits = number(9, 7) + number(10, 5000)
    data_of_clock = encode_utility_order(dict(_orders(device))["set the clock"])
    assert data_of_clock.endswith(limits)
    unlimited = data_of_clock[: -len(limits)]
    rows.append(["set the clock without its limits", unlimited.hex(), sign(unlimited).hex(),
                 judge(Order(unlimited), device, 41, INCARNATION, NOW_S, 7, 5000)])  # fmt: skip
    swapped = signature[32:] + signature[:32]
    rows.append(["s before r", data.hex(), swapped.hex(), "unsigned"])
    return {"public_key": PUBLIC_KEY.hex(), "meter": METER, "rows": rows}
