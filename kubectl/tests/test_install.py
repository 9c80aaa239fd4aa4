"""The plugin is installed as its how-to page says, from a checkout, and then works by itself.

Dependencies come from the package registry. Neighbour: `docs/how-to/provision.md`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOW_TO = (ROOT / "docs/how-to/provision.md").read_text()
UV = os.environ.get("UV") or shutil.which("uv") or ""
"""`uv run`, which the Makefile uses, names itself in the variable."""


def run(*command, **environment):
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280,
        env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def command_of(tool):
    """Return the words of the command that the page gives."""
    found = re.search(rf"`({tool} install [^`]+)`", HOW_TO)
    assert found, f"{tool} install is not in the page"
    return found[1].split()


def assert_works(program, environment):
    """Ask as kubectl does: a program of this name on the PATH, away from the checkout."""
    text = run("env", "-C", "/", str(program), "--help", **environment)
    for command in ("read", "readings", "provision", "status", "events", "upgrade", "exchange"):
        assert re.search(rf"^  {command}\s+\S", text, re.MULTILINE), text


@pytest.mark.skipif(not UV and not os.environ.get("CI"), reason="no uv: make setup")
def test_uv_tool_install(tmp_path):
    where = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    run(UV, *command_of("uv tool")[1:], **where)
    assert_works(tmp_path / "bin/kubectl-meter", {"PYTHONPATH": ""})


def test_pip_install(tmp_path):
    run(sys.executable, "-m", "venv", str(tmp_path / "env"))
    run(str(tmp_path / "env/bin/pip"), "-q", *command_of("pip")[1:])
    assert_works(tmp_path / "env/bin/kubectl-meter", {"PYTHONPATH": ""})
