"""Verifies ECDSA P-256 signatures with SHA-256 (FIPS 186-5): orders of the utility, on the meter.

Jacobian coordinates on Python's integers; about 0.1 s on the unix port, seconds on a board, and
orders are rare. Verification handles public values only, so its time may depend on them.
Neighbour: `order`. The meter loads it only when it has the utility's key.
"""

from hashlib import sha256

_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    1,
)


def _double(point: "tuple[int, int, int]") -> "tuple[int, int, int]":
    x, y, z = point
    if not y:
        return (1, 1, 0)
    square = z * z % _P
    beta = x * y * y * 4 % _P
    alpha = 3 * (x - square) * (x + square) % _P
    x3 = (alpha * alpha - 2 * beta) % _P
    y4 = y * y * y * y * 8
    return x3, (alpha * (beta - x3) - y4) % _P, 2 * y * z % _P


def _add(one: "tuple[int, int, int]", other: "tuple[int, int, int]") -> "tuple[int, int, int]":
    x1, y1, z1 = one
    x2, y2, z2 = other
    if not z1:
        return other
    if not z2:
        return one
    s1 = z1 * z1 % _P
    s2 = z2 * z2 % _P
    u1, u2 = x1 * s2 % _P, x2 * s1 % _P
    v1, v2 = y1 * s2 * z2 % _P, y2 * s1 * z1 % _P
    if u1 == u2:
        return _double(one) if v1 == v2 else (1, 1, 0)
    h = u2 - u1
    r = v2 - v1
    h2 = h * h % _P
    h3 = h2 * h % _P
    x3 = (r * r - h3 - 2 * u1 * h2) % _P
    return x3, (r * (u1 * h2 - x3) - v1 * h3) % _P, h * z1 * z2 % _P


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` (r and s, 64 octets) over `message` is of `key` (x and y)."""
    x, y = int.from_bytes(key[:32], "big"), int.from_bytes(key[32:], "big")
    if len(key) != 64 or x >= _P or y >= _P or (y * y - x * x * x + 3 * x - _B) % _P:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not 0 < r < _N or not 0 < s < _N:
        return False
    inverse = _power(s, _N - 2, _N)
    u = int.from_bytes(sha256(message).digest(), "big") * inverse % _N
    v = r * inverse % _N
    public = (x, y, 1)
    both = _add(_G, public)
    point = (1, 1, 0)
    for bit in range(255, -1, -1):
        point = _double(point)
        pair = (u >> bit & 1) + (v >> bit & 1) * 2
        if pair:
            point = _add(point, (_G, public, both)[pair - 1])
    if not point[2]:
        return False
    scale = _power(point[2], _P - 2, _P)
    return point[0] * scale * scale % _P % _N == r


def _power(base: int, exponent: int, modulus: int) -> int:
    """Return base ** exponent % modulus (three arguments of pow are optional on MicroPython)."""
    result = 1
    while exponent:
        if exponent & 1:
            result = result * base % modulus
        base = base * base % modulus
        exponent >>= 1
    return result
