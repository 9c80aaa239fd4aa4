"""What goes into each image: sources that decide whether to build again, and how.

A recipe writes a root file system and returns the entry point. Python packages of the workspace are
copied as bytecode into ``/app``; third-party wheels are resolved from the workspace's lock file.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from debian import versions
from libraries import parts, replace_libraries
from postgres_rootfs import build_postgres
from python_rootfs import VERSION, build_python, compile_sourceless
from rootfs import (
    LIBRARY_FOLDERS,
    closure,
    copy_libraries,
    copy_program,
    strip,
    unpacked,
    write_account,
)
from wheels import ROOT, copy_packages, install_wheels, trim_wheels, uv

OF_THE_STOCK_TWIN = ("nacl", "pynacl", "cffi", "_cffi", "pycparser")
HEAP_OF_ESP8266 = 38 * 1024
BUILDER_OF_SMALL = (
    "build_firmware", "firmware_sources", "board_file", "bytecode", "small_firmware", "romfs",
    "bundle", "bundle_names", "bundle_rewriting", "bundle_unused",
)  # fmt: skip
PARTS_OF_LXML = ("__init__", "etree", "_elementpath")


class Recipe(NamedTuple):
    """An image: sources (paths in the repository), Debian's part (sets), builder, environment.

    One that lies over another image (`base`) has that one's sources, parts and environment too, and
    its files and name: it is another version of it, called `version`. `stop`: the signal to end it.
    """

    sources: tuple[str, ...]
    debian: tuple[str, ...]
    build: Callable[[Path], list[str]]
    environment: tuple[str, ...] = ()
    base: str = ""
    version: str = "dev"
    stop: str = "SIGTERM"


def debian_parts(recipe: Recipe) -> list[str]:
    """Return `package=version` of all that Debian gives to an image.

    Raises:
        DebianError: Debian does not answer, and no older answer is kept.
    """
    found = []
    for name in recipe.debian:
        found += parts() if name == "libraries" else versions(name)
    return sorted(set(found))


def build_twin(target: Path) -> list[str]:
    """Write the twin: Python, PyNaCl and our packages; nothing of Kubernetes.

    Of cffi PyNaCl needs `_cffi_backend` at run time; the rest and pycparser generate C.
    """
    build_python(target, optimize=2)
    app = target / "app"
    install_wheels("metertwin-twin", app)
    trim_wheels(app)
    for path in (app / "cffi", app / "pycparser", *app.glob("pycparser-*.dist-info")):
        shutil.rmtree(path)
    extensions = sorted(app.rglob("*.so"))
    strip(extensions)
    copy_packages(target, "twin/src/meter_twin", "wire/src/meter_wire")
    compile_sourceless(app, optimize=2)
    copy_libraries(unpacked("python"), extensions, target)
    replace_libraries(target)
    write_account(target)
    return twin_command("meter_twin")


def twin_command(package: str) -> list[str]:
    """Return the entry point of a twin whose start is in this package.

    `-m` would load runpy and pkgutil, without `-S` site too: 0.2 MiB of private memory a twin; the
    frozen copies of modules would be 0.3 MiB of resident pages, and are no faster here.
    """
    start = f"import sys; from {package}.__main__ import main; sys.exit(main())"
    return ["python3", "-OO", "-S", "-P", "-X", "frozen_modules=off", "-c", start]


def build_twin_next(target: Path) -> list[str]:
    """Write what the next version of the twin has over the stock one."""
    copy_packages(target, "examples/next-twin/src/meter_twin_next")
    compile_sourceless(target / "app", optimize=2)
    return twin_command("meter_twin_next")


def build_twin_signed(target: Path) -> list[str]:
    """Write what a twin needs to sign XML over the stock one: signxml, lxml and cryptography.

    Of lxml it is the tree alone; certifi's list of certificates is nobody's that a twin trusts.
    """
    app = target / "app"
    install_wheels("metertwin-twin", app, "signatures")
    trim_wheels(app)
    for path in app.iterdir():
        if path.name.lower().startswith(OF_THE_STOCK_TWIN):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (app / "lxml").iterdir():
        if path.name.split(".")[0] not in PARTS_OF_LXML:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (app / "certifi/cacert.pem").unlink()
    extensions = sorted(app.rglob("*.so"))
    strip(extensions)
    compile_sourceless(app, optimize=2)
    tree = unpacked("python")
    copy_libraries(tree, extensions, target)
    for path in closure(tree, [tree / f"usr/bin/python{VERSION}"]):
        (target / LIBRARY_FOLDERS[0] / path.name).unlink(missing_ok=True)  # the layer below has it
    return twin_command("meter_twin")


def build_operator(target: Path) -> list[str]:
    """Write the operator with kopf and its clients, and the PKI's own command."""
    build_python(target, keep=("unittest", "wsgiref", "_pydecimal.py", "smtplib.py"))
    app = target / "app"
    install_wheels("metertwin-operator", app)
    copy_packages(target, "operator/src/meter_operator", "pki/src/meter_pki", "wire/src/meter_wire")
    compile_sourceless(app)
    copy_libraries(unpacked("python"), sorted(app.rglob("*.so")), target)
    write_account(target)
    return ["python3", "-m", "meter_operator"]


def build_operator_next(target: Path) -> list[str]:
    """Write what the next version of the operator has over the stock one."""
    copy_packages(target, "examples/next-operator/src/meter_operator_next")
    compile_sourceless(target / "app")
    return ["python3", "-m", "meter_operator_next"]


def build_service(target: Path, wheels: str, *packages: str, needs: str = "python") -> list[str]:
    """Write a Python service with wheels that need a set's libraries; the first package starts."""
    build_python(target, keep=("wsgiref",))  # prometheus_client imports it
    app = target / "app"
    install_wheels(wheels, app)
    trim_wheels(app)
    extensions = sorted(app.rglob("*.so"))
    strip(extensions)
    copy_packages(target, *packages)
    compile_sourceless(app)
    copy_libraries(unpacked(needs), extensions, target)
    write_account(target)
    return ["python3", "-m", Path(packages[0]).name]


def build_utility(target: Path) -> list[str]:
    """Write the demo's utility with openleadr, which imports its client and scheduler too."""
    return build_service(target, "metertwin-example-utility", "examples/utility/src/city_grid")


def build_archive(target: Path) -> list[str]:
    """Write the archive's service and its migrations."""
    packages = ("archive/src/meter_archive", "wire/src/meter_wire")
    return build_service(target, "metertwin-archive", *packages, needs="c++")


def build_ems(target: Path) -> list[str]:
    """Write the demo's energy management with paho-mqtt."""
    build_python(target)
    app = target / "app"
    install_wheels("metertwin-example-ems", app)
    trim_wheels(app)
    copy_packages(target, "examples/ems/src/home_ems")
    compile_sourceless(app)
    write_account(target)
    return ["python3", "-m", "home_ems"]


def build_mosquitto(target: Path) -> list[str]:
    """Write Debian's Mosquitto broker; what ends a bridge's thread is loaded when that happens."""
    tree = unpacked("mosquitto")
    copy_program(tree, "usr/sbin/mosquitto", target)
    loaded_late = tree / LIBRARY_FOLDERS[0] / "libgcc_s.so.1"
    shutil.copy2(loaded_late.resolve(), target / LIBRARY_FOLDERS[0] / loaded_late.name)
    write_account(target)
    return ["/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf"]


def build_firmware(target: Path) -> list[str]:
    """Write MicroPython's unix port, the firmware and the measured household profiles."""
    copy_program(unpacked("micropython"), "usr/bin/micropython", target)
    app = target / "app"
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".*cache")
    shutil.copytree(ROOT / "firmware/src", app, ignore=ignored)
    portable = app / "meter_wire"
    shutil.copytree(ROOT / "wire/src/meter_wire/portable", portable / "portable", ignore=ignored)
    shutil.copy2(ROOT / "wire/src/meter_wire/__init__.py", portable / "__init__.py")
    profiles = ROOT / "build/profiles"
    builder = [sys.executable, str(ROOT / "tools/profiles/build.py"), str(profiles)]
    subprocess.run(builder, check=True, stdout=sys.stderr, env=dict(os.environ))
    shutil.copytree(profiles, app / "profiles")
    write_account(target)
    return ["/usr/bin/micropython", "/app/main.py", "--config", "/etc/meter/meter.json"]


def build_firmware_esp8266(target: Path) -> list[str]:
    """Write the small profile on the ESP8266's model of MicroPython, with the heap of that board.

    The model is built from Debian's source: a 32-bit program with its libraries.
    """
    install = [sys.executable, str(ROOT / "tools/micropython/install.py"), "--arch=esp8266-model"]
    found = subprocess.run(install, check=True, stdout=subprocess.PIPE, text=True)
    loader, *_, program = map(Path, shlex.split(found.stdout))
    libraries = target / "usr/lib"
    libraries.mkdir(parents=True)
    (target / "lib").symlink_to("usr/lib")
    for path in (loader, *loader.parent.glob("lib*.so.*")):
        shutil.copy2(path, libraries / path.name)
    (target / "usr/bin").mkdir()
    shutil.copy2(program, target / "usr/bin/micropython")
    build = [uv(), "run", "--quiet", "--locked", "--all-packages", "firmware/build_firmware.py"]
    subprocess.run(
        [*build, "--process", str(target / "app")], check=True, cwd=ROOT, stdout=sys.stderr
    )
    write_account(target)
    heap = ["-X", f"heapsize={HEAP_OF_ESP8266}"]
    return ["/usr/bin/micropython", *heap, "/app/main.py", "/etc/meter/meter.json"]


TWIN = Recipe(
    ("twin/src", "wire/src", "uv.lock", "twin/pyproject.toml"),
    ("python", "strip", "libraries"),
    build_twin,
    # glibc: the heap grows and shrinks by less, 0.2 MiB less of it a twin
    ("MALLOC_TOP_PAD_=4096", "MALLOC_TRIM_THRESHOLD_=65536"),
)
OPERATOR = Recipe(
    ("operator/src", "pki/src", "wire/src", "uv.lock", "operator/pyproject.toml"),
    ("python",),
    build_operator,
)
RECIPES: dict[str, Recipe] = {
    "twin": TWIN,
    "twin-next": TWIN._replace(
        sources=(*TWIN.sources, "examples/next-twin/src"),
        build=build_twin_next,
        base="twin",
        version="next",
    ),
    "twin-signed": TWIN._replace(build=build_twin_signed, base="twin", version="signed"),
    "operator": OPERATOR,
    "operator-next": OPERATOR._replace(
        sources=(*OPERATOR.sources, "examples/next-operator/src"),
        build=build_operator_next,
        base="operator",
        version="next",
    ),
    "mosquitto": Recipe((), ("mosquitto",), build_mosquitto),
    "archive": Recipe(
        ("archive/src", "wire/src", "uv.lock", "archive/pyproject.toml"),
        ("python", "strip", "c++"),
        build_archive,
    ),
    # SIGTERM would wait until every client has gone
    "postgres": Recipe((), ("postgres",), build_postgres, stop="SIGINT"),
    "utility": Recipe(
        ("examples/utility/src", "uv.lock", "examples/utility/pyproject.toml"),
        ("python", "strip"),
        build_utility,
    ),
    "ems": Recipe(
        ("examples/ems/src", "uv.lock", "examples/ems/pyproject.toml"), ("python",), build_ems
    ),
    "firmware": Recipe(
        ("firmware/src", "wire/src", "tools/profiles"), ("micropython",), build_firmware
    ),
    "firmware-esp8266": Recipe(
        (
            *(f"firmware/{name}.py" for name in BUILDER_OF_SMALL),
            "firmware/src",
            "wire/src",
            "tools/micropython",
            "uv.lock",
        ),
        (),
        build_firmware_esp8266,
    ),
}
