"""An archive with a few meters, asked by bearers of tokens in this process, and by operators."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from aiohttp.test_utils import TestClient, TestServer
from fleet_of_batches import START_S, batch
from meter_archive.database import open_pool
from meter_archive.directory import Installation, Place
from meter_archive.directory_table import save_directory
from meter_archive.group import Given, write_group
from meter_archive.migrate import migrate
from meter_archive.partitions import Partitions
from meter_archive.query_port import QueryPort, identify_forward
from meter_archive.token_identity import TokenIdentity

START = datetime.fromtimestamp(START_S, UTC)
BEFORE = START - timedelta(days=1)
LAST = 4 * 24 * 4
"""Quarter hours of readings, 1,000 Wh each, from `START` on."""
METERS = (
    ("abc", "P1", "house-1", {"feeder": "F1"}, b"A" * 8),
    ("def", "P2", "house-2", {"feeder": "F2"}, b"B" * 8),
)


class AccessWorld:
    """`operator` is a client of port 8081, `reader` one of 8443 (without TLS)."""

    def __init__(self, url, **limits):
        self.url = url
        self._limits = limits
        self._stack = AsyncExitStack()

    async def __aenter__(self):
        await migrate(self.url)
        limit = timedelta(seconds=10)
        self.pool = await open_pool(self.url, size=4, statement_limit=limit)
        self.reading = await open_pool(self.url, size=4, statement_limit=limit, reading=True)
        self.access = await open_pool(self.url, size=2, statement_limit=limit)
        for pool in (self.pool, self.reading, self.access):
            self._stack.callback(pool.terminate)
        operators = QueryPort(self.reading, identify_forward, writing=self.access, operators=True)
        readers = QueryPort(
            self.reading, TokenIdentity(self.access), writing=self.access, **self._limits
        )
        self.operator = await self._client(operators)
        self.reader = await self._client(readers)
        return self

    async def __aexit__(self, *_):
        await self._stack.aclose()

    async def _client(self, port):
        return await self._stack.enter_async_context(TestClient(TestServer(port.build())))

    async def fill(self):
        seen = [
            Installation(
                device, point, BEFORE, Place("homes", meter, "UTC", "F", tuple(labels.items()), 900)
            )
            for device, point, meter, labels, _ in METERS
        ]
        await save_directory(self.pool, ["homes"], seen, START)
        for device, _, _, _, identity in METERS:
            given = Given(device, 1, identity, batch(1, LAST))
            (answer,) = await write_group(self.pool, Partitions(self.pool), {}, [given], 36500)
            assert answer.conflicts == 0

    async def token(self, name="app", **scope):
        """Make a token as an operator; return it."""
        status, document = await self.command("", name=name, **(scope or {"all": True}))
        assert status == 200, document
        return document["token"]

    async def command(self, path, **body):
        async with self.operator.post(f"/v1/tokens{path}", json=body) as answer:
            return answer.status, await answer.json()

    async def ask(self, token, path="/v1/history", **query):
        """Ask as the bearer of a token; return status and document."""
        query = {name.rstrip("_"): value for name, value in query.items()}
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self.reader.get(path, params=query, headers=headers) as answer:
            return answer.status, await answer.json()

    async def notes(self, **query):
        """Return the audit, oldest first, without the look at it."""
        async with self.operator.get("/v1/audit", params=query) as answer:
            document = await answer.json()
            assert answer.status == 200, document
        return document["accesses"][::-1]

    async def fetch(self, statement, *arguments):
        async with self.pool.acquire() as connection:
            return await connection.fetch(statement, *arguments)


async def together(*asked):
    return await asyncio.gather(*asked)
