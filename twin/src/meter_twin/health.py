"""The plain port 8080: liveness, readiness, metrics.

Neighbour: `shell` passes what to look at. At most ten series and never a register value: each
series costs memory in the monitoring, times every meter of the fleet.
"""

import asyncio
from collections.abc import Callable

from .http_server import ApiError, Request, Response

Series = list[tuple[str, str, str, float]]
"""(name, type, help, value); the prefix is added here."""
MOST_SERIES = 10
MOST_WAIT_S = 30
_LOOK_S = 0.05
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
            reason = await self._unready_after(_wait_s(request.query))
            return Response(503 if reason else 200, f"{reason or 'ok'}\n".encode(), _TEXT)
        if request.path == "/metrics":
            return Response(200, format_series(self._series()), _TEXT)
        raise ApiError(404, "path", "is unknown", "use /healthz, /readyz or /metrics")

    async def _unready_after(self, wait_s: int) -> str:
        """Return why the twin is not ready, as soon as it is or when the wait is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_s
        while (reason := self._unready()) and loop.time() < end:  # noqa: ASYNC110 - five places make it ready
            await asyncio.sleep(_LOOK_S)
        return reason


def _wait_s(query: dict[str, str]) -> int:
    text = query.get("wait", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and int(text) <= MOST_WAIT_S):  # noqa: PLR2004 - digits
        raise ApiError(400, "wait", f"is no number of seconds up to {MOST_WAIT_S}", "correct it")
    return int(text)


def format_series(series: Series) -> bytes:
    """Return the text format of Prometheus."""
    assert len(series) <= MOST_SERIES
    text = ""
    for name, kind, meaning, value in series:
        full = f"metertwin_twin_{name}"
        text += f"# HELP {full} {meaning}\n# TYPE {full} {kind}\n{full} {value:g}\n"
    return text.encode()
