"""One real PostgreSQL for each worker, a schema of its own for each test."""

import pytest
from postgres_server import PostgresServer


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A running PostgreSQL on loopback."""
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture
def url(server):
    """Return the URL of an empty database."""
    return server.new_database()
