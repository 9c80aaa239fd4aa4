"""Reads the SmartMeters of the cluster: all of them at the start, then what changes.

The whole list is read again every ten minutes, so nothing that a watch missed stays wrong. Outside
a cluster there is no directory, and meters are asked for by device. Neighbours: `directory`,
`directory_table`.
"""

import asyncio
import json
import logging
import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from meter_wire.names import GROUP, VERSION

from meter_archive.database import Pool
from meter_archive.directory import Installation, parse_meter
from meter_archive.directory_table import save_directory

log = logging.getLogger("meter_archive.directory")
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PAGE = 500
_RELIST_S = 600
_SETTLE_S = 1
_AGAIN_S = 15
_WRONG = (OSError, TimeoutError, ValueError, aiohttp.ClientError, asyncpg.PostgresError,
          asyncpg.InterfaceError)  # fmt: skip


def find_server(environment: Mapping[str, str]) -> str | None:
    """Return the URL of the API server that a pod is told of, None outside a cluster."""
    host, port = (environment.get(f"KUBERNETES_SERVICE_{one}") for one in ("HOST", "PORT"))
    if not host or not (ACCOUNT / "token").exists():
        return None
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def find_namespaces(environment: Mapping[str, str]) -> list[str]:
    """Return the namespaces whose meters are listed: the setting's, or the pod's own."""
    told = environment.get("METERTWIN_ARCHIVE_NAMESPACES", "")
    return [one for one in told.split(",") if one] or [(ACCOUNT / "namespace").read_text()]


class DirectoryWatch:
    """One per process; `run` is its task."""

    def __init__(self, pool: Pool, server: str, namespaces: list[str]) -> None:
        """Know no meter yet."""
        self._pool = pool
        self._server = server
        self._namespaces = namespaces
        self._meters: dict[tuple[str, str], Installation] = {}

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_RELIST_S + 30)
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while True:
                try:
                    await self._follow(session)  # until a watch ends: then it lists again
                except _WRONG as error:
                    log.warning("directory waits: %s", type(error).__name__)
                    await asyncio.sleep(_AGAIN_S)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        """List everything, save it, and watch until it is time to list again."""
        self._meters.clear()
        versions = [await self._list(session, namespace) for namespace in self._namespaces]
        await self._save()
        changed = asyncio.Event()
        watches = [
            asyncio.create_task(self._watch(session, *one, changed))
            for one in zip(self._namespaces, versions, strict=True)
        ]
        saving = asyncio.create_task(self._save_changes(changed))
        try:
            done, _ = await asyncio.wait([*watches, saving], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in [*watches, saving]:
                task.cancel()
            await asyncio.gather(*watches, saving, return_exceptions=True)

    async def _save(self) -> None:
        changes = await save_directory(
            self._pool, self._namespaces, self._meters.values(), datetime.now(UTC)
        )
        if any(changes):
            log.info(
                "directory: %d installations begun, %d ended, %d described anew",
                len(changes.begun), len(changes.ended), len(changes.moved),
            )  # fmt: skip

    async def _save_changes(self, changed: asyncio.Event) -> None:
        """Save when something has changed, many changes at once."""
        while True:
            await changed.wait()
            await asyncio.sleep(_SETTLE_S)
            changed.clear()
            await self._save()

    async def _list(self, session: aiohttp.ClientSession, namespace: str) -> str:
        """Read all meters of a namespace; return the version that a watch goes on from."""
        query = {"limit": str(_PAGE)}
        while True:
            async with session.get(
                self._url(namespace), params=query, headers=_headers()
            ) as answer:
                answer.raise_for_status()
                page = await answer.json()
            for document in page["items"]:
                self._note(document)
            if not page["metadata"].get("continue"):
                return str(page["metadata"]["resourceVersion"])
            query["continue"] = page["metadata"]["continue"]

    async def _watch(
        self, session: aiohttp.ClientSession, namespace: str, version: str, changed: asyncio.Event
    ) -> None:
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(_RELIST_S)}
        async with session.get(self._url(namespace), params=query, headers=_headers()) as answer:
            answer.raise_for_status()
            # No lines of aiohttp's: those end at 64 KiB, which a SmartMeter may exceed.
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._take(json.loads(line))
                    changed.set()

    def _take(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "ERROR":
            raise ValueError("the watch is too old")  # everything is listed again
        if event["type"] == "DELETED":
            self._forget(event["object"])
        else:
            self._note(event["object"])

    def _note(self, document: Mapping[str, Any]) -> None:
        one = parse_meter(document)
        if one is None:
            self._forget(document)
        else:
            self._meters[one.place.namespace, one.place.meter] = one

    def _forget(self, document: Mapping[str, Any]) -> None:
        metadata = document["metadata"]
        self._meters.pop((metadata["namespace"], metadata["name"]), None)

    def _url(self, namespace: str) -> str:
        return f"{self._server}/apis/{GROUP}/{VERSION}/namespaces/{namespace}/smartmeters"


def _headers() -> dict[str, str]:
    """Return the credentials as they are now: the token is renewed in its file."""
    return {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}


def build_watch(pool: Pool) -> DirectoryWatch | None:
    """Return the watch of the cluster that this process runs in, None outside of one."""
    server = find_server(os.environ)
    return None if server is None else DirectoryWatch(pool, server, find_namespaces(os.environ))
