"""Points in time as the Kubernetes API writes them: RFC 3339 in UTC, whole seconds."""

from datetime import UTC, datetime


def format_now() -> str:
    """Return this moment."""
    return format_moment(datetime.now(UTC))


def format_moment(moment: datetime | float) -> str:
    """Return the text of a time, given in UTC or in seconds since 1970."""
    if isinstance(moment, float | int):
        moment = datetime.fromtimestamp(moment, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_moment(text: object) -> float:
    """Return a time as seconds since 1970, 0 when the text is none."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
