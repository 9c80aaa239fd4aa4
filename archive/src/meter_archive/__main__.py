"""The command `meter-archive`: `migrate` brings the schema up to date, `serve` serves."""

import argparse
import asyncio
import asyncio.sslproto
import logging
import os
import ssl
import sys

import asyncpg

from meter_archive.service import Ports, Service
from meter_archive.settings import SettingsError, load_settings

TLS_BUFFER = 16384
"""asyncio's own 256 KiB would be half a MiB for each twin's connection."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="meter-archive",
        description="Keeps every reading of a fleet in PostgreSQL. Settings are environment"
        " variables: METERTWIN_ARCHIVE_DATABASE (URL), …_TLS (folder), …_TRUST (file),"
        " …_RETENTION_DAYS, …_AUDIT_DAYS.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="create or upgrade the schema; safe with many at once")
    serve = commands.add_parser("serve", help="take entries from twins until a signal")
    serve.add_argument("--plain-port", type=int, default=8080, help="health, metrics (8080)")
    serve.add_argument("--ingest-port", type=int, default=8444, help="mutual TLS (8444)")
    serve.add_argument("--query-port", type=int, default=8081, help="questions, loopback (8081)")
    serve.add_argument("--reader-port", type=int, default=8443, help="questions, TLS (8443)")
    serve.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104
    return parser


def main() -> int:
    """Run a command; return the exit code."""
    arguments = build_parser().parse_args()
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    asyncio.sslproto.SSLProtocol.max_size = TLS_BUFFER
    try:
        settings = load_settings(os.environ)
        if arguments.command == "migrate":
            from meter_archive.migrate import main as migrate  # noqa: PLC0415 - 30 MiB of libraries

            migrate(settings.database)
        else:
            ports = Ports(
                arguments.plain_port,
                arguments.ingest_port,
                arguments.query_port,
                arguments.reader_port,
                arguments.host,
            )
            asyncio.run(Service(settings, ports).serve())
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except (OSError, ssl.SSLError, asyncpg.PostgresError) as error:
        sys.stderr.write(f"error: {type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
