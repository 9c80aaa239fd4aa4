"""The plain port 8080: liveness, readiness, metrics.

Neighbour: `shell` passes what to look at. At most ten series and never a register value: each
series costs memory in the monitoring, times every meter of the fleet.
"""

from collections.abc import Callable

from .http_server import ApiError, Request, Response

Series = list[tuple[str, str, str, float]]
"""(name, type, help, value); the prefix is added here."""
MOST_SERIES = 10
_TEXT = "text/plain; version=0.0.4"


class Health:
    """Routes of the plain port."""

    def __init__(self, unready: Callable[[], str], series: Callable[[], Series]) -> None:
        """`unready`: why the twin is not ready, empty if it is; `series`: the metrics."""
        self._unready = unready
        self._series = series

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        if request.method not in {"GET", "HEAD"}:
            raise ApiError(405, "method", "is not allowed here", "use GET")
        if request.path == "/healthz":
            return Response(200, b"ok\n", _TEXT)
        if request.path == "/readyz":
            reason = self._unready()
            return Response(503 if reason else 200, f"{reason or 'ok'}\n".encode(), _TEXT)
        if request.path == "/metrics":
            return Response(200, format_series(self._series()), _TEXT)
        raise ApiError(404, "path", "is unknown", "use /healthz, /readyz or /metrics")


def format_series(series: Series) -> bytes:
    """Return the text format of Prometheus."""
    assert len(series) <= MOST_SERIES
    text = ""
    for name, kind, meaning, value in series:
        full = f"metertwin_twin_{name}"
        text += f"# HELP {full} {meaning}\n# TYPE {full} {kind}\n{full} {value:g}\n"
    return text.encode()
