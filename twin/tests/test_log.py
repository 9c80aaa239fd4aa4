"""What may be logged is a fixed set of fields, in every call there is."""

import ast
import gc
import pathlib

import meter_twin
from meter_twin.log import FIELDS

SOURCES = sorted(pathlib.Path(meter_twin.__file__).parent.rglob("*.py"))


def calls(tree):
    """Yield the calls of `log.log` and `log.log_exception`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "log":
                yield node


def test_every_call_uses_known_fields_only(request):
    seen = 0
    gc.disable()  # CPython 3.11: a finalizer within ast.parse may end it in a SystemError
    request.addfinalizer(gc.enable)
    for path in SOURCES:
        for call in calls(ast.parse(path.read_text())):
            seen += 1
            names = {keyword.arg for keyword in call.keywords}
            assert names <= FIELDS, f"{path.name}:{call.lineno}: {names - FIELDS}"
    assert seen > 20
