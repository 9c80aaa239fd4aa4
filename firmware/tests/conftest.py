"""The whole firmware in this process, on a folder, for tests of what its start does."""

import json

import main as firmware
import pytest
from config import load_config


@pytest.fixture
def make(tmp_path):
    """Return a function that boots the meter with changes of `meter.json`; again on one folder."""
    made = []

    def build(board=None, **changes):
        table = {"device": "house-1", "key": "00" * 32, "broker": {"host": "127.0.0.1"}, **changes}
        (tmp_path / "meter.json").write_text(json.dumps(table))
        made.append(firmware.Firmware(load_config(str(tmp_path / "meter.json")), board))
        return made[-1]

    yield build
    for meter in made:
        meter.ring._segments.close()
