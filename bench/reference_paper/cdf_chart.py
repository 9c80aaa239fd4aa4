"""Draws cumulative distributions of delays as an SVG picture, on a logarithmic axis. Pure."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from distribution import find_cdf

XMLNS = "http://www.w3.org/2000/svg"
WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 48
POINTS = 120
COLOURS = ("#0b6e99", "#c4500a", "#3d7a1f")
STEPS = (1, 2, 5)


def find_axis(values: Sequence[float]) -> list[float]:
    """Return round numbers (1, 2, 5 times a power of ten) from below the least to above the most.

    Raises:
        ValueError: a value is not above zero.
    """
    if min(values) <= 0:
        raise ValueError("a logarithmic axis needs values above zero")
    first = math.floor(math.log10(min(values)))
    last = math.ceil(math.log10(max(values)))
    marks = [step * 10.0**power for power in range(first, last + 1) for step in STEPS]
    low = max(mark for mark in marks if mark <= min(values))
    high = min(mark for mark in marks if mark >= max(values))
    if low == high:
        high = next(mark for mark in marks if mark > low)
    return [mark for mark in marks if low <= mark <= high]


def draw(title: str, series: Mapping[str, Sequence[float]]) -> str:
    """Return the picture of named delays in ms.

    Raises:
        ValueError: a series is empty, or a delay is not above zero.
    """
    axis = find_axis([value for values in series.values() for value in values])
    low, span = math.log10(axis[0]), math.log10(axis[-1]) - math.log10(axis[0])

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(value) - low) / span

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    lines = [
        f'<svg xmlns="{XMLNS}" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        lines.append(_line(LEFT, y(share), WIDTH - RIGHT, y(share)))
        lines.append(_label(LEFT - 6, y(share) + 4, f"{share:.0%}", "end"))
    for mark in axis:
        lines.append(_line(x(mark), TOP, x(mark), HEIGHT - BOTTOM))
        lines.append(_label(x(mark), HEIGHT - BOTTOM + 16, f"{mark:g}", "middle"))
    lines.append(_label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "one way, ms", "middle"))
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x(v):.1f},{y(share):.1f}" for v, share in find_cdf(values, POINTS))
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        text = escape(f"{name} (n = {len(values):,})")
        lines.append(_label(LEFT + 8, TOP + 16 + 16 * number, text, "start", colour))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#ddd"/>'


def _label(x: float, y: float, text: str, anchor: str, colour: str = "#444") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="12" fill="{colour}">{text}</text>'
