"""Modules that cost memory and that a twin does not use stay out of it, and still work if used."""

import copy
import json
import logging
import subprocess
import sys

import pytest

LOADED = """
import sys, json, meter_twin.process, meter_twin.serving
from meter_twin import registry
for name in registry.APPLICATIONS: registry.find_application(name)
"broker.example.com".encode("idna")
print(json.dumps([name for name, module in sys.modules.items() if type(module) is type(sys)]))
"""
USED = """
import meter_twin, asyncio, sys
{code}
for name in {names}:
    assert type(sys.modules[name]) is type(sys), name
"""
NEVER = (
    "ast", "base64", "calendar", "csv", "ctypes", "dataclasses", "decimal", "dis", "email",
    "gettext", "http", "importlib.metadata", "inspect", "locale", "logging", "nacl", "pathlib",
    "random", "shutil", "string", "stringprep", "subprocess", "tempfile", "textwrap", "traceback",
    "typing", "unicodedata", "urllib.parse", "uuid", "zipfile",
)  # fmt: skip

HANDOVER = (
    *(
        f"meter_twin.{name}"
        for name in ("giving", "inheritance", "peer_client", "store_coverage", "succession",
                     "successor", "taking")
    ),
    "meter_wire.coverage",
)  # fmt: skip


def run(code, stderr=None):
    return subprocess.run(
        [sys.executable, "-S", "-c", code], check=True, stdout=subprocess.PIPE, stderr=stderr,
        text=True, timeout=60, env={"PYTHONPATH": ":".join(sys.path)},
    ).stdout  # fmt: skip


def test_a_starting_twin_loads_none_of_the_heavy_modules():
    assert sorted(set(json.loads(run(LOADED))) & set(NEVER)) == []


def test_a_twin_that_is_alone_with_its_meter_loads_nothing_of_a_handover():
    assert sorted(set(json.loads(run(LOADED))) & set(HANDOVER)) == []


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
        ("import logging.handlers; assert logging.handlers.MemoryHandler", ["logging"]),
        ("from logging import Logger, getLogger; assert getLogger().level == 30", ["logging"]),
        ("import logging; assert type(logging.getLogger('x')) is logging.Logger", ["logging"]),
        (
            "assert 'zähler.example'.encode('idna') == b'xn--zhler-gra.example'",
            ["stringprep", "unicodedata"],
        ),
        (
            r"assert '\N{GREEK SMALL LETTER PI}' == chr(960); import unicodedata; unicodedata.name('a')",
            ["unicodedata"],
        ),
        (
            "from typing import TypedDict; assert TypedDict('T', {'a': int})(a=1) == {'a': 1}",
            ["typing"],
        ),
        (
            "from typing import ClassVar; import typing; assert ClassVar is typing.ClassVar",
            ["typing"],
        ),
        ("from base64 import b64encode; assert b64encode(b'a') == b'YQ=='", ["base64"]),
        (
            (
                "async def f(): await (await asyncio.create_subprocess_exec('true')).wait()\n"
                "asyncio.run(f(), debug=True)"
            ),
            ["logging", "subprocess", "traceback"],
        ),
    ],
)
def test_a_postponed_module_is_there_when_it_is_used(code, names):
    run(USED.format(code=code, names=names))


NAMED = """
from {module} import NamedTuple
class Pair(NamedTuple):
    "Two."
    first: int
    second: str = "b"
    @property
    def both(self):
        return f"{{self.first}}{{self.second}}"
    def swap(self):
        return self._replace(first=2)
"""


def test_the_named_tuple_without_typing_is_that_of_typing():
    made = []
    for module in ("typing", "meter_twin.light_typing"):
        space = {"__name__": "here"}
        exec(NAMED.format(module=module), space)
        made.append(space["Pair"])
    right, light = made
    for name in ("__doc__", "__name__", "__qualname__", "__module__", "_fields", "_field_defaults",
                 "__annotations__", "__match_args__"):  # fmt: skip
        assert getattr(light, name) == getattr(right, name), name
    for pair in made:
        assert issubclass(pair, tuple)
        assert pair(1) == (1, "b") == pair(first=1) == pair(1, second="b") == pair._make((1, "b"))
        assert hash(pair(1)) == hash((1, "b"))
        assert pair(1)._asdict() == {"first": 1, "second": "b"}
        assert copy.deepcopy(pair(1)) == pair(1)
        assert type(copy.copy(pair(1))) is pair
        first, *_ = pair(1)
        assert first == 1
        assert not hasattr(pair(1), "__dict__")
        with pytest.raises(AttributeError):
            pair(1).first = 2
        for wrong in (((), {}), ((1, 2, 3), {}), ((1,), {"first": 1}), ((1,), {"third": 1}),
                      ((), {"second": "c"})):  # fmt: skip
            with pytest.raises(TypeError):
                pair(*wrong[0], **wrong[1])
        with pytest.raises((TypeError, ValueError)):
            pair(1)._replace(third=1)
    assert repr(light(1).swap()) == repr(right(1).swap()) == "Pair(first=2, second='b')"
    assert light(1).both == "1b"
    with pytest.raises(TypeError):
        light()


def test_the_constants_given_to_asyncio_are_those_of_the_module():
    from meter_twin.postponed import POSTPONED

    for name, value in POSTPONED["subprocess"].items():
        assert getattr(subprocess, name) == value
    assert POSTPONED["logging"]["DEBUG"] == logging.DEBUG


CAPTURED = """
import meter_twin, asyncio, sys
from meter_twin.log import capture_standard_logging
{before}
capture_standard_logging()
async def report():
    asyncio.get_running_loop().call_exception_handler({{"message": "secret"}})
asyncio.run(report())
"""


@pytest.mark.parametrize("before", ["", "import logging; logging.INFO"])
def test_the_first_line_that_asyncio_logs_is_reduced_whether_logging_was_loaded_or_not(before):
    (line,) = run(CAPTURED.format(before=before), stderr=subprocess.STDOUT).splitlines()
    assert json.loads(line)["name"] == "asyncio"
    assert "secret" not in line


ENDED = """
import gc, sys
from meter_twin import process

class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "meter_twin.serving":
            print("collects" if gc.isenabled() else "rests")

sys.meta_path.insert(0, Look())
process.load_configuration = process.listen = lambda _: None
assert process.run() == 1  # it fails: there is no configuration
print("collects" if gc.isenabled() else "rests", gc.get_freeze_count() > 10_000)
"""


def test_garbage_is_collected_once_the_imports_are_done_but_not_what_they_made():
    assert run(ENDED, stderr=subprocess.DEVNULL) == "rests\ncollects True\n"
