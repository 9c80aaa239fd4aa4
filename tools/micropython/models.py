"""Interpreters that Debian has no package of, built from its source package of MicroPython.

- `esp8266-model`: the unix port, 32-bit, with the ESP8266's numbers (`esp8266_model/`): 30-bit
  floats inside the object word, integer times. It is a model of how numbers and objects behave and
  of what they take of the heap; no instruction of the board's processor runs.
- `cortex-m3`: MicroPython's port to QEMU, board MPS2-AN385 (an emulated Cortex-M3), and QEMU.

Each is built once and lies in the cache under the hash of its recipe: a changed recipe is another
one. Which source and compiler it came from is what Debian's suite had then; `versions.txt` beside
the program says it. Neighbours: `install.py`, `debian_archive.py`.
"""

from __future__ import annotations

import hashlib
import pathlib
from typing import NamedTuple

from debian_archive import SOURCE, SUITE, alone, cache_folder, compile_source, unpack

HERE = pathlib.Path(__file__).resolve().parent
COMPILER = (
    "base-files", "coreutils", "dash", "diffutils", "dpkg-dev", "findutils", "gcc", "grep",
    "gzip", "libc6-dev", "make", "mawk", "perl", "python3", "sed", "xz-utils",
)  # fmt: skip
QEMU = ("qemu-system-arm",)


class Model(NamedTuple):
    """One interpreter: folder of its recipe, what compiles it, the program that results."""

    recipe: str
    packages: tuple[str, ...]
    program: str


ESP8266_MODEL = Model("esp8266_model", (*COMPILER, "gcc-multilib"), "micropython")
CORTEX_M3 = Model("cortex_m3", (*COMPILER, "gcc-arm-none-eabi", "libnewlib-dev"), "firmware.elf")


def key_of(model: Model) -> str:
    """Return the hash of everything that decides on the result, but Debian's versions."""
    digest = hashlib.sha256(repr((SUITE, model)).encode())
    for path in sorted((HERE / model.recipe).rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(HERE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def ensure_model(model: Model) -> pathlib.Path:
    """Return the program of a model, built at the first call.

    Raises:
        InstallError: it cannot be built; the message has the log's end.
    """
    folder = cache_folder() / "micropython" / f"{model.recipe}-{key_of(model)}"
    if not (folder / model.program).is_file():
        with alone(folder):
            if not (folder / model.program).is_file():
                compile_source(folder, model.packages, "micropython", HERE / model.recipe)
    return folder / model.program


def ensure_qemu() -> list[str]:
    """Return the command prefix of QEMU's `qemu-system-arm`, unpacking it at the first call.

    Raises:
        InstallError: it cannot be unpacked; the message names the remedy.
    """
    key = hashlib.sha256(repr((SOURCE, QEMU)).encode()).hexdigest()[:16]
    tree = cache_folder() / "micropython" / f"qemu-{key}"
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    program = tree / "usr/bin/qemu-system-arm"
    if not program.is_file():
        with alone(tree):
            if not program.is_file():
                unpack(tree, "amd64", QEMU)
    path = f"{libraries}:{libraries}/pulseaudio"
    return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", path, str(program)]
