"""Health and metrics of the operator on one plain port; no label names a meter."""

import time
from collections.abc import Callable
from typing import NamedTuple

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

RECONCILES = Counter(
    "controller_runtime_reconcile", "Reconciles by result.", ["controller", "result"]
)
SECONDS = Histogram(
    "controller_runtime_reconcile_time_seconds", "Duration of a reconcile.", ["controller"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30),
)  # fmt: skip
DEPTH = Gauge("workqueue_depth", "Meters that wait for a look.", ["name"])
METERS = Gauge("metertwin_meters", "Meters by readiness.", ["ready"])
WATCH_AGE = Gauge("metertwin_watch_last_event_age_seconds", "Since the last event of any watch.")
API_WRITES = Counter("metertwin_api_writes", "Writes to the API, Lease and events aside.")
RENEWED = Counter("metertwin_meter_certificates_renewed", "Meters' requests that were answered.")
REFUSED = Gauge("metertwin_messages_refused", "Refused broker messages by reason.", ["reason"])


class Checks(NamedTuple):
    """What the endpoints ask the process."""

    alive: Callable[[], bool]
    ready: Callable[[], bool]
    refresh: Callable[[], None]


async def serve(port: int, checks: Checks) -> web.AppRunner:
    """Serve `/healthz`, `/readyz` and `/metrics`; return what is to be cleaned up at the end."""
    started = time.monotonic()

    async def healthz(_: web.Request) -> web.Response:
        good = checks.alive()
        text = f"{'alive' if good else 'nothing heard'} {time.monotonic() - started:.0f} s\n"
        return web.Response(text=text, status=200 if good else 503)

    async def readyz(_: web.Request) -> web.Response:
        good = checks.ready()
        return web.Response(text="ready\n" if good else "waiting\n", status=200 if good else 503)

    async def metrics(_: web.Request) -> web.Response:
        checks.refresh()
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(REGISTRY), headers=headers)

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port).start()  # noqa: S104 - inside its pod
    return runner
