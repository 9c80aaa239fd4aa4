"""A world of real processes for each test; everything in it ends with the test."""

import pathlib
from collections.abc import Iterator

import pytest
from harness import World


@pytest.fixture
def world(tmp_path: pathlib.Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()
