"""The running demo street; what the fault tests restart, the others read first."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import demo


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.parent == pathlib.Path(__file__).parent and "faults" in item.path.name)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def street():
    """Every meter is Ready and speaks to its twin before the first test."""
    for kind in ("Ready", "MeterConnected"):
        demo.kubectl("wait", f"--for=condition={kind}", "meter", *demo.DEVICES, "--timeout=100s", timeout=120)  # fmt: skip


@pytest.fixture
def record(tmp_path):
    return lambda device: demo.Record(tmp_path, device)


@pytest.fixture
def extra():
    """Apply extra SmartMeters; they are gone afterwards."""
    made = []

    def apply(*manifests, check=True):
        made.extend(row["metadata"]["name"] for row in manifests)
        return demo.apply(*manifests, check=check)

    yield apply
    if made:
        demo.kubectl("delete", "smartmeter", "--ignore-not-found", *made)
