#!/usr/bin/env python3
"""Check the types of firmware and portable wire with pyright against MicroPython's own stubs.

mypy knows CPython only; here a module or method that MicroPython lacks is an error. Checker and
stubs are pinned and lie in the cache beside uv, not in the environment: the stubs would hide the
standard library from everything else. The first run takes them from PyPI, later ones need nothing.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECKER = "basedpyright==1.40.2"
STUBS = ("micropython-unix-stubs==1.29.0.post1", "micropython-stdlib-stubs==1.29.0.post2")
INCLUDED = ("firmware/src", "wire/src/meter_wire/portable")


def find_cache() -> Path:
    """Return the folder of what is installed once for all clones."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "metertwin"
    return Path(os.environ.get("METERTWIN_CACHE", default))


def ensure(folder: Path, packages: tuple[str, ...], *options: str) -> Path:
    """Install packages into a folder of their own, once."""
    if not (folder / "complete").exists():
        uv = os.environ.get("UV", "uv")
        command = [uv, "pip", "install", "-q", "--python", sys.executable, "--target", str(folder)]
        subprocess.run([*command, *options, *packages], check=True)
        (folder / "complete").write_text("\n".join(packages) + "\n")
    return folder


def main() -> int:
    """Return 0 when pyright has nothing to say."""
    cache = find_cache()
    stubs = ensure(cache / f"stubs-{STUBS[0].partition('==')[2]}", STUBS, "--no-deps")
    checker = ensure(cache / f"pyright-{CHECKER.partition('==')[2]}", (CHECKER,))
    document = {
        "include": [str(ROOT / path) for path in INCLUDED],
        "extraPaths": [str(ROOT / "firmware/src"), str(ROOT / "wire/src")],
        "typeshedPath": str(stubs),
        "stubPath": str(stubs),
        "typeCheckingMode": "basic",
        "pythonVersion": "3.11",
    }
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "pyrightconfig.json"
        config.write_text(json.dumps(document))
        environment = {**os.environ, "PYTHONPATH": str(checker)}
        command = [sys.executable, "-m", "basedpyright", "--level", "error"]
        command += ["--pythonpath", "/bin/false", "-p", str(config)]  # nothing of CPython is found
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
