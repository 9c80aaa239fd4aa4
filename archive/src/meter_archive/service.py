"""The process that serves: writers, upkeep and ports. Neighbours: `writer`, the ports."""

import asyncio
import logging
import random
import signal
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
from aiohttp import web

from meter_archive import figures
from meter_archive.database import Pool, open_pool
from meter_archive.directory_watch import build_watch
from meter_archive.expiry import expire
from meter_archive.ingest_port import IngestPort, build_context, read_expiry
from meter_archive.plain_port import build_plain
from meter_archive.query_port import QueryPort
from meter_archive.settings import Settings
from meter_archive.writer import Writer

log = logging.getLogger("meter_archive.service")
WRITERS = 2
_UPKEEP_S = 3600
_UPKEEP_AGAIN_S = 60
_CERTIFICATE_POLL_S = 60


class Ports(NamedTuple):
    """Where to listen; 0 lets the system choose."""

    plain: int = 8080
    ingest: int = 8444
    queries: int = 8081
    host: str = "0.0.0.0"  # noqa: S104 - inside its pod


class Service:
    """All parts; `serve` runs until a signal."""

    def __init__(self, settings: Settings, ports: Ports) -> None:
        """Make what needs no I/O."""
        self._settings = settings
        self._ports = ports
        self._runners: list[web.AppRunner] = []
        self.bound: dict[str, int] = {}

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT; batches that were taken are answered first.

        Raises:
            OSError, ssl.SSLError: a port is taken, or a certificate is missing.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

        def forget() -> None:
            writer.forget()

        pool = await open_pool(
            self._settings.database, size=WRITERS + 8, statement_limit=timedelta(seconds=30),
            connected=forget,
        )  # fmt: skip
        writer = Writer(pool, self._settings.retention_days)
        context = build_context(self._settings.tls, self._settings.trust, clients=True)
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(writer.run()) for _ in range(WRITERS)]
        tasks.append(asyncio.create_task(self._tend(pool, writer)))
        tasks.append(asyncio.create_task(self._renew(context)))
        if (watch := build_watch(pool)) is not None:
            tasks.append(asyncio.create_task(watch.run()))
        waiting = asyncio.create_task(stop.wait())
        try:
            await self._listen(pool, writer, context)
            log.info("serving: %s", self.bound)
            await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for runner in self._runners:
                await runner.cleanup()
            for task in [waiting, *tasks]:
                task.cancel()
            await asyncio.gather(waiting, *tasks, return_exceptions=True)
            pool.terminate()

    async def _listen(self, pool: Pool, writer: Writer, context: ssl.SSLContext) -> None:
        def refresh() -> None:
            figures.WAITING.set(writer.waiting_octets)
            figures.DATABASE.set(int(writer.is_up))
            figures.LAST_COMMIT.set(writer.committed_s)

        await self._bind("plain", build_plain(refresh), self._ports.plain, None)
        queries = QueryPort(pool).build()
        await self._bind("queries", queries, self._ports.queries, None, "127.0.0.1")
        await self._bind("ingest", IngestPort(writer).build(), self._ports.ingest, context)

    async def _bind(
        self,
        name: str,
        application: web.Application,
        port: int,
        context: ssl.SSLContext | None,
        host: str = "",
    ) -> None:
        runner = web.AppRunner(application, access_log=None, keepalive_timeout=75)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, host or self._ports.host, port, ssl_context=context).start()
        self.bound[name] = runner.addresses[0][1]

    async def _tend(self, pool: Pool, writer: Writer) -> None:
        """Keep the partitions and the policies; hourly, replicas at different moments."""
        while True:
            pause_s = _UPKEEP_S * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
            try:
                now = datetime.now(UTC)
                await writer.partitions.tend(now, self._settings.retention_days)
                figures.EXPIRED.inc(await expire(pool, now))
                figures.UPKEEP.set_to_current_time()
            except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
                log.warning("partitions wait: %s", type(error).__name__)
                pause_s = _UPKEEP_AGAIN_S
            await asyncio.sleep(pause_s)

    async def _renew(self, context: ssl.SSLContext) -> None:
        """Load the certificate again when its file has changed: new connections show it."""
        tls, trust = self._settings.tls, self._settings.trust
        seen = [(tls / "tls.crt").read_bytes(), trust.read_bytes()]
        figures.CERTIFICATE.set(read_expiry(tls / "tls.crt"))
        while True:
            await asyncio.sleep(_CERTIFICATE_POLL_S)
            try:
                found = [(tls / "tls.crt").read_bytes(), trust.read_bytes()]
                if found != seen:
                    context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
                    context.load_verify_locations(trust)
                    figures.CERTIFICATE.set(read_expiry(tls / "tls.crt"))
                    seen = found
                    log.info("certificate loaded again")
            except (OSError, ssl.SSLError) as error:
                log.warning("certificate is kept: %s", type(error).__name__)
