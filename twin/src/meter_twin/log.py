"""Log lines: one JSON object a line on stderr, from a fixed set of fields.

A field that is not in `FIELDS` is a bug and raises, so a register value or a key cannot slip in by
a convenient f-string; what asyncio itself reports is reduced to exception type and place
(`standard_logging`).
"""

import json
import sys
import time
import traceback
from typing import TextIO

from .postponed import when_loaded

FIELDS = frozenset(
    (
        *("application", "device", "encrypted", "epoch", "error", "field", "host", "incarnation"),
        *("message", "name", "path", "place", "reason", "remedy", "removed", "restored", "seq"),
        *("state", "term", "version"),
    )
)
MAX_TEXT = 300


def log(level: str, what: str, **fields: str | int | None) -> None:
    """Write a line.

    Args:
        level: `info`, `warning` or `error`.
        what: what happened, a fixed text.
        fields: names of `FIELDS` with integers or short texts.

    Raises:
        ValueError: a field that is not allowed.
    """
    unknown = set(fields) - FIELDS
    if unknown:
        raise ValueError(f"log field {sorted(unknown)} is not in log.FIELDS")
    now_s = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_s))
    line: dict[str, str | int | None] = {
        "time": f"{stamp}.{int(now_s * 1000) % 1000:03d}Z",
        "level": level,
        "what": what,
    }
    for name, value in fields.items():
        line[name] = value[:MAX_TEXT] if isinstance(value, str) else value
    stream: TextIO = sys.stderr
    stream.write(json.dumps(line, separators=(",", ":")) + "\n")
    stream.flush()


def log_exception(what: str, error: BaseException, **fields: str | int | None) -> None:
    """Write type and place of an unexpected exception, never its text, which may hold values."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    log("error", what, error=type(error).__name__, place=place, **fields)


def capture_standard_logging() -> None:
    """Route the `logging` module through `log`, from warning on, as soon as somebody loads it."""
    when_loaded("logging", _capture)


def _capture() -> None:
    from .standard_logging import capture  # noqa: PLC0415 - most twins never load `logging`

    capture()
