"""A world of real processes for each test; everything in it ends with the test."""

import pathlib
from collections.abc import Iterator

import pytest
from harness import World
from small_world import BUILDS


@pytest.fixture
def world(tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """The world of the whole firmware, unless a test is for both builds (`small_world`)."""
    made = BUILDS[getattr(request, "param", "whole")](tmp_path)
    yield made
    made.close()
