"""The process that serves: writers, upkeep and ports. Neighbours: `writer`, the ports."""

import asyncio
import logging
import random
import signal
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
from aiohttp import web

from meter_archive import figures
from meter_archive.audit_table import forget_notes
from meter_archive.database import Pool, open_pool, read_clock
from meter_archive.directory_watch import build_watch
from meter_archive.entries_port import EntriesPort
from meter_archive.expiry import expire
from meter_archive.ingest_port import IngestPort, build_context, read_expiry
from meter_archive.plain_port import build_plain
from meter_archive.query_port import QueryPort, identify_forward
from meter_archive.reader_site import ReaderSite
from meter_archive.settings import Settings
from meter_archive.token_identity import TokenIdentity
from meter_archive.writer import Writer

log = logging.getLogger("meter_archive.service")
WRITERS = 2
_UPKEEP_S = 3600
_UPKEEP_AGAIN_S = 60
_CERTIFICATE_POLL_S = 60
QUESTION_LIMIT = timedelta(seconds=20)
"""Of one statement; a whole question has `answering.LONGEST_S`."""


class Ports(NamedTuple):
    """Where to listen; 0 lets the system choose."""

    plain: int = 8080
    ingest: int = 8444
    queries: int = 8081
    readers: int = 8443
    host: str = "0.0.0.0"  # noqa: S104 - inside its pod


class Pools(NamedTuple):
    """Connections of writers, of questions (which write nothing), of tokens and audit."""

    writing: Pool
    reading: Pool
    access: Pool


class Contexts(NamedTuple):
    """TLS of the port of twins, which shows certificates, and of that of readers."""

    ingest: ssl.SSLContext
    readers: ssl.SSLContext


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

        pools = await self._open_pools(forget)
        pool = pools.writing
        writer = Writer(pool, self._settings.retention_days)
        tls, trust = self._settings.tls, self._settings.trust
        contexts = Contexts(
            build_context(tls, trust, clients=True), build_context(tls, trust, clients=False)
        )
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(writer.run()) for _ in range(WRITERS)]
        tasks.append(asyncio.create_task(self._tend(writer, pool)))
        tasks.append(asyncio.create_task(self._renew(contexts)))
        if (watch := build_watch(pool)) is not None:
            tasks.append(asyncio.create_task(watch.run()))
        waiting = asyncio.create_task(stop.wait())
        try:
            await self._listen(pools, writer, contexts)
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
            for one in pools:
                one.terminate()

    async def _open_pools(self, connected: Callable[[], None]) -> Pools:
        """Return connections apart: no flood of questions keeps an entry from its commit."""
        url, limit = self._settings.database, timedelta(seconds=30)
        return Pools(
            await open_pool(url, size=WRITERS + 3, statement_limit=limit, connected=connected),
            await open_pool(url, size=6, statement_limit=QUESTION_LIMIT, reading=True),
            await open_pool(url, size=2, statement_limit=QUESTION_LIMIT),
        )

    async def _listen(self, pools: Pools, writer: Writer, contexts: Contexts) -> None:
        def refresh() -> None:
            figures.WAITING.set(writer.waiting_octets)
            figures.DATABASE.set(int(writer.is_up))
            figures.LAST_COMMIT.set(writer.committed_s)

        await self._bind("plain", build_plain(refresh), self._ports.plain, None)
        reading, access = pools.reading, pools.access
        queries = QueryPort(reading, identify_forward, writing=access, operators=True).build()
        await self._bind("queries", queries, self._ports.queries, None, "127.0.0.1")
        readers = QueryPort(reading, TokenIdentity(access), writing=access).build()
        runner = await self._set_up(readers)
        await ReaderSite(runner, self._ports.host, self._ports.readers, contexts.readers).start()
        self.bound["readers"] = runner.addresses[0][1]
        ingest = IngestPort(writer, EntriesPort(reading)).build()
        await self._bind("ingest", ingest, self._ports.ingest, contexts.ingest)

    async def _bind(
        self,
        name: str,
        application: web.Application,
        port: int,
        context: ssl.SSLContext | None,
        host: str = "",
    ) -> None:
        runner = await self._set_up(application)
        await web.TCPSite(runner, host or self._ports.host, port, ssl_context=context).start()
        self.bound[name] = runner.addresses[0][1]

    async def _set_up(self, application: web.Application) -> web.AppRunner:
        runner = web.AppRunner(application, access_log=None, keepalive_timeout=75)
        await runner.setup()
        self._runners.append(runner)
        return runner

    async def _tend(self, writer: Writer, pool: Pool) -> None:
        """Keep partitions, policies and audit; hourly, replicas at different moments."""
        while True:
            pause_s = _UPKEEP_S * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
            try:
                now = await read_clock(pool, datetime.now(UTC))
                await writer.partitions.tend(now, self._settings.retention_days)
                await forget_notes(pool, now - timedelta(days=self._settings.audit_days))
                figures.EXPIRED.inc(await expire(pool, now))
                figures.UPKEEP.set_to_current_time()
            except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
                log.warning("partitions wait: %s", type(error).__name__)
                pause_s = _UPKEEP_AGAIN_S
            await asyncio.sleep(pause_s)

    async def _renew(self, contexts: Contexts) -> None:
        """Load the certificate again when its file has changed: new connections show it."""
        tls, trust = self._settings.tls, self._settings.trust
        seen = [(tls / "tls.crt").read_bytes(), trust.read_bytes()]
        figures.CERTIFICATE.set(read_expiry(tls / "tls.crt"))
        while True:
            await asyncio.sleep(_CERTIFICATE_POLL_S)
            try:
                found = [(tls / "tls.crt").read_bytes(), trust.read_bytes()]
                if found != seen:
                    for context in contexts:
                        context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
                    contexts.ingest.load_verify_locations(trust)
                    figures.CERTIFICATE.set(read_expiry(tls / "tls.crt"))
                    seen = found
                    log.info("certificate loaded again")
            except (OSError, ssl.SSLError) as error:
                log.warning("certificate is kept: %s", type(error).__name__)
