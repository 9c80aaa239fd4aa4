"""One real PostgreSQL for each worker, a schema of its own for each test."""

import pytest
from postgres_server import PostgresServer


@pytest.fixture(scope="session")
def server():
    """A running PostgreSQL on loopback."""
    with PostgresServer() as running:
        yield running


@pytest.fixture
def url(server):
    """Return the URL of an empty database."""
    return server.new_database()
