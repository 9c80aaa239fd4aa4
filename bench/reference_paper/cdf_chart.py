"""Draws cumulative distributions of delays as an SVG picture, on a logarithmic axis. Pure."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from distribution import find_cdf

XMLNS = "http://www.w3.org/2000/svg"
WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 48
LINE = 16
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


class Scale:
    """Where a delay and a share are in the picture."""

    def __init__(self, axis: Sequence[float]) -> None:
        """Reach from the first to the last mark of the axis."""
        self.axis = axis
        self._low = math.log10(axis[0])
        self._span = math.log10(axis[-1]) - self._low

    def x(self, value: float) -> float:
        """Return the place of a delay."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(value) - self._low) / self._span

    def y(self, share: float) -> float:
        """Return the place of a share of all."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def draw(title: str, series: Mapping[str, Sequence[float]]) -> str:
    """Return the picture of named delays in ms.

    Raises:
        ValueError: a series is empty, or a delay is not above zero.
    """
    scale = Scale(find_axis([value for values in series.values() for value in values]))
    head = LINE * len(series)  # above the plot, where no curve can hide a name
    size = f"{WIDTH} {HEIGHT + head}"
    lines = [
        f'<svg xmlns="{XMLNS}" viewBox="0 {-head} {size}" font-family="sans-serif">',
        f'<rect y="{-head}" width="{WIDTH}" height="{HEIGHT + head}" fill="#fff"/>',
        f'<text x="{LEFT}" y="{20 - head}" font-size="14">{escape(title)}</text>',
        *_draw_grid(scale),
    ]
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        cdf = find_cdf(values, POINTS)
        points = " ".join(f"{scale.x(value):.1f},{scale.y(share):.1f}" for value, share in cdf)
        style = f'fill="none" stroke="{colour}" stroke-width="2"'
        lines.append(f'<polyline points="{points}" {style}/>')
        text = escape(f"{name} (n = {len(values):,})")
        lines.append(_label(LEFT, TOP - head + LINE * number, text, "start", colour))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _draw_grid(scale: Scale) -> list[str]:
    lines = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = scale.y(share)
        lines.append(_line(LEFT, y, WIDTH - RIGHT, y))
        lines.append(_label(LEFT - 6, y + 4, f"{share:.0%}", "end"))
    for mark in scale.axis:
        lines.append(_line(scale.x(mark), TOP, scale.x(mark), HEIGHT - BOTTOM))
        lines.append(_label(scale.x(mark), HEIGHT - BOTTOM + 16, f"{mark:g}", "middle"))
    return [*lines, _label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "one way, ms", "middle")]


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#ddd"/>'


def _label(x: float, y: float, text: str, anchor: str, colour: str = "#444") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="12" fill="{colour}">{text}</text>'
