"""Draws what the archive answers. Needs matplotlib: `pip install 'kubectl-meter[plot]'`.

A missing value is a gap, never a zero; what is estimated or not of all meters is hatched.
Neighbour: `archive_forms` (the rows).
"""

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from kubectl_meter.archive_forms import Json, Row
from kubectl_meter.errors import MeterError

FORMATS = (".png", ".svg", ".pdf")
_COLORS = ("#1b6ca8", "#d1802a", "#3c8d53", "#8a4fa3")
_UNSURE = ("estimated", "partial")


def check_plot(path: Path) -> None:
    """Refuse a picture that could not be written, before the archive is asked.

    Raises:
        MeterError: another suffix, or matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise MeterError(
            f"{path.name} is no picture that can be drawn",
            field="--plot",
            remedy=f"a name that ends in {', '.join(FORMATS)}",
        )
    try:
        import matplotlib as mpl  # noqa: F401, PLC0415 - 100 MB that only pictures need
    except ImportError:
        raise MeterError(
            "pictures need matplotlib", field="--plot", remedy="pip install 'kubectl-meter[plot]'"
        ) from None


def write_plot(path: Path, title: str, document: Json, rows: Sequence[Row]) -> None:
    """Write a picture of bars, one a bucket, as wide as it is long.

    Raises:
        MeterError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if rows:
        axes.xaxis_date(tz=datetime.fromisoformat(rows[0].start).tzinfo)
    for place, device in enumerate(dict.fromkeys(one.device for one in rows)):
        own = [one for one in rows if one.device == device]
        # matplotlib takes times, its types do not say so
        starts: Any = [datetime.fromisoformat(one.start) for one in own]
        widths: Any = [
            datetime.fromisoformat(one.end) - datetime.fromisoformat(one.start) for one in own
        ]
        axes.bar(
            starts, [math.nan if one.value is None else one.value for one in own],
            width=widths,
            align="edge", color=_COLORS[place % len(_COLORS)], label=device or "all meters",
            edgecolor="white", linewidth=0.3,
            hatch=["//" if one.quality in _UNSURE else "" for one in own],
        )  # fmt: skip
    axes.set_ylabel(document["unit"])
    axes.set_title(title)
    axes.grid(axis="y", alpha=0.3)
    missing = sum(one.value is None for one in rows)
    if missing:
        axes.set_xlabel(f"{missing} of {len(rows)} missing: gaps; hatched: estimated or partial")
    if len({one.device for one in rows}) > 1:
        axes.legend()
    try:
        figure.savefig(path)
    except OSError as error:
        raise MeterError(
            f"{path} cannot be written: {error.strerror}", field="--plot", remedy="another folder"
        ) from None
