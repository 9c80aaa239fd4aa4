"""MicroPython's compile-time `const` for CPython; the compiler has replaced the calls there."""


def const(value: int) -> int:
    """Return the value."""
    return value
