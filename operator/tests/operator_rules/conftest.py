import pytest

from .street import PROFILE, Operator


@pytest.fixture
def operator():
    made = Operator()
    made.put("twinprofiles", "household", {"spec": PROFILE})
    return made
