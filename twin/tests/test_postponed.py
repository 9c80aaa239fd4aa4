"""Modules that cost memory and that a twin does not use stay out of it, and still work if used."""

import json
import subprocess
import sys

import pytest

LOADED = """
import sys, json, meter_twin.__main__
from meter_twin import registry
for name in registry.APPLICATIONS: registry.find_application(name)
print(json.dumps([name for name, module in sys.modules.items() if type(module) is type(sys)]))
"""
USED = """
import meter_twin, asyncio, sys
{code}
for name in {names}:
    assert type(sys.modules[name]) is type(sys), name
"""
NEVER = (
    "ast", "calendar", "csv", "ctypes", "dataclasses", "decimal", "dis", "email", "gettext", "http",
    "importlib.metadata", "inspect", "locale", "nacl", "pathlib", "random", "shutil", "subprocess",
    "tempfile", "textwrap", "traceback", "urllib.parse", "uuid", "zipfile",
)  # fmt: skip


def run(code):
    return subprocess.run(
        [sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True, timeout=60,
        env={"PYTHONPATH": ":".join(sys.path)},
    ).stdout  # fmt: skip


def test_a_starting_twin_loads_none_of_the_heavy_modules():
    assert sorted(set(json.loads(run(LOADED))) & set(NEVER)) == []


@pytest.mark.parametrize(
    ("code", "names"),
    [
        (
            "import traceback; assert traceback.extract_stack()[-1].name == '<module>'",
            ["traceback"],
        ),
        ("from traceback import extract_tb, format_exc; format_exc()", ["traceback"]),
        ("import inspect; assert inspect.isfunction(inspect.isclass)", ["inspect"]),
        ("import locale; locale.getpreferredencoding()", ["locale"]),
        ("import subprocess; subprocess.run(['true'], check=True)", ["subprocess"]),
        ("import subprocess; assert subprocess.PIPE == -1; subprocess.Popen", ["subprocess"]),
        (
            (
                "async def f(): await (await asyncio.create_subprocess_exec('true')).wait()\n"
                "asyncio.run(f(), debug=True)"
            ),
            ["subprocess", "traceback"],
        ),
    ],
)
def test_a_postponed_module_is_there_when_it_is_used(code, names):
    run(USED.format(code=code, names=names))


def test_the_constants_given_to_asyncio_are_those_of_the_module():
    from meter_twin.postponed import POSTPONED

    for name, value in POSTPONED["subprocess"].items():
        assert getattr(subprocess, name) == value
