"""Each test has a checkout of its own."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "fakes"))

from own_checkout import APT, Checkout

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """Copy what the demo needs to decide; nothing of it touches this machine."""
    unwanted = shutil.ignore_patterns("tests", "go", "__pycache__")
    for part in ("tools/demo", "tools/cluster"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=unwanted)
    shutil.copytree(ROOT / "tools/cluster/go", tmp_path / "tools/cluster/go")
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("fakes", "answers"):
        (tmp_path / name).mkdir()
    (tmp_path / "refused").write_text("nothing")
    (tmp_path / "apt.conf").write_text(APT)
    return Checkout(tmp_path)
