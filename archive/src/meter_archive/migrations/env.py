"""Runs the steps within the connection and transaction of `migrate`."""

from alembic import context

from meter_archive.database import SCHEMA

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, version_table="schema_version", version_table_schema=SCHEMA
)
context.run_migrations()
