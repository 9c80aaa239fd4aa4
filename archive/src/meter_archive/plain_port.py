"""Port 8080: health and metrics, plain; nothing of a meter. Neighbour: `figures`."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest


def build_plain(refresh: Callable[[], None]) -> web.Application:
    """Return the application; `refresh` is called before metrics are shown.

    Ready means that the process serves: with the database away a batch is answered with 503, and
    to take all replicas out of their Service would tell a twin less.
    """

    async def well(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        refresh()
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(REGISTRY), headers=headers)

    application = web.Application()
    application.router.add_get("/healthz", well)
    application.router.add_get("/readyz", well)
    application.router.add_get("/metrics", metrics)
    return application
