"""Logs as one JSON object a line on stderr; never a key or a register value."""

import json
import logging
import sys
from datetime import UTC, datetime

FIELDS = ("meter", "epoch", "reason")


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "message": record.getMessage()}
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def start_journal(level: str) -> None:
    """Send all logs of this process to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level.upper())
    logging.getLogger("aiohttp").setLevel("WARNING")
    logging.getLogger("mqtt").setLevel("WARNING")
    logging.getLogger("kopf").setLevel("WARNING")
