"""The running demo street; what the fault tests restart, the others read first."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import built
import demo


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.parent == pathlib.Path(__file__).parent and "faults" in item.path.name)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def street():
    """Every meter runs what was built here and answers before the first test.

    That its condition says so is not enough: it may be older than the meter's pod.
    """
    demo.until(built.runs_what_was_built, "pods run what was built (make demo)", 60)
    demo.kubectl("wait", "--for=condition=Ready", "meter", *demo.DEVICES, "--timeout=200s")  # fmt: skip
    pods = [f"pod/meter-{device}" for device in demo.DEVICES]
    demo.kubectl("wait", "--for=condition=Ready", *pods, "--timeout=200s")
    for device in demo.DEVICES:
        demo.until(lambda device=device: demo.answers(device), f"{device} answers")
    demo.kubectl("wait", "--for=condition=MeterConnected", "meter", *demo.DEVICES, "--timeout=200s")  # fmt: skip


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
