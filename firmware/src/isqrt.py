"""Integer square root, because MicroPython has no ``math.isqrt`` and boards have 30-bit floats."""


def isqrt(value: int) -> int:
    """Return the largest integer whose square is not above `value` (Newton's method).

    Raises:
        ValueError: `value` is negative.
    """
    if value < 0:
        raise ValueError("square root of a negative number")
    if value < 2:
        return value
    root = 1
    while root * root <= value:
        root <<= 1
    while True:
        better = (root + value // root) >> 1
        if better >= root:
            return root
        root = better
