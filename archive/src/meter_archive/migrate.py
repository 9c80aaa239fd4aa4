"""Brings the schema up to date with alembic; two at the same time wait for each other.

The lock is PostgreSQL's, of the session: whoever dies releases it. Neighbours: `migrations`
(one file a step), `database` (connects).
"""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from meter_archive.database import SCHEMA, Alone, connect

_LOCK = 0x4D545741
"""The number of the advisory lock, the letters MTWA."""


def build_config(connection: Connection | None = None) -> Config:
    """Return alembic's configuration; without a file, so that an image needs none."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sourceless", "true")  # an image has bytecode alone
    config.attributes["connection"] = connection
    return config


async def migrate(url: str) -> None:
    """Create or upgrade the schema.

    Raises:
        OSError, asyncpg.PostgresError: the database is away or refuses.
    """

    async def dial() -> Alone:
        return await connect(url, statement_s=None)  # an index of years takes its time

    engine = create_async_engine("postgresql+asyncpg://", async_creator=dial, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            await connection.run_sync(lambda one: command.upgrade(build_config(one), "head"))
    finally:
        await engine.dispose()


def main(url: str) -> None:
    """Run `migrate` to its end."""
    asyncio.run(migrate(url))
