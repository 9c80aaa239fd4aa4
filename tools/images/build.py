"""Build the images whose content changed: ``tools/images/build [--force] [NAME …]``.

Content is our sources, this tool and the versions of Debian's packages. Prints the path of each
archive. Neighbours: ``recipes.py`` (what), ``debian.py`` (versions), ``archive.py`` (how).
"""

import argparse
import fcntl
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from debian import DebianError, cache, refresh
from recipes import RECIPES, debian_parts
from rootfs import size
from wheels import ROOT

from archive import add_name, write_archive

FORCE = "build even if nothing changed, and ask Debian anew, which else happens once a day"
OUTPUT = ROOT / "build/images"
SKIPPED = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "tests"}


def is_source(path: Path) -> bool:
    """Return whether a file can change an image: no cache, no test, not what is said of it."""
    return path.is_file() and SKIPPED.isdisjoint(path.parts) and path.suffix != ".md"


def content_hash(sources: tuple[str, ...], parts: list[str]) -> str:
    """Return a hash over names and bytes of the sources and of this tool, and over Debian's part.

    Args:
        sources: paths in the repository.
        parts: `package=version` of what Debian gives.
    """
    digest = hashlib.sha256("\n".join(parts).encode())
    for source in (*sources, "tools/images"):
        path = ROOT / source
        for file in [path] if path.is_file() else sorted(filter(is_source, path.rglob("*"))):
            digest.update(f"{file.relative_to(ROOT)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def tag(key: str, version: str = "dev") -> str:
    """Return an image's tag, which names its content.

    So a changed image is another image to a cluster: nodes fetch it, `helm upgrade` rolls broker
    and operator, new twins get it, and a running meter is flashed anew in its place.
    """
    return f"{version}-{key[:12]}"


def build(name: str, *, force: bool) -> Path:
    """Build one image unless an archive of the same content exists; return the archive."""
    recipe = RECIPES[name]
    archive = OUTPUT / f"{name}.tar"
    record = OUTPUT / f"{name}.json"
    parts = debian_parts(recipe)
    key = content_hash(recipe.sources, parts)
    known = json.loads(record.read_text())["content"] if record.exists() else ""
    if not force and archive.exists() and known == key:
        print(f"{name}: unchanged", file=sys.stderr, flush=True)
        return archive
    base = build(recipe.base, force=False) if recipe.base else None
    begun = time.monotonic()
    work = cache() / "work"
    work.mkdir(parents=True, exist_ok=True)
    target = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=work))  # checkouts share the cache
    target.chmod(0o755)
    try:
        command = recipe.build(target)
        repository = f"localhost/metertwin/{recipe.base or name}"
        image = f"{repository}:{tag(key, recipe.version)}"
        write_archive(target, archive, image, command, recipe.environment, base)
        if recipe.base:
            add_name(archive, f"{repository}:{recipe.version}")
        total = size(target)
    finally:
        shutil.rmtree(target)
    found = {"content": key, "bytes": total, "tag": tag(key, recipe.version), "debian": parts}
    if recipe.base:
        found |= {"base": recipe.base, "version": recipe.version}
    record.write_text(json.dumps(found) + "\n")
    took = time.monotonic() - begun
    print(f"{name}: {total / 1e6:.1f} MB in {took:.0f} s", file=sys.stderr, flush=True)
    return archive


def main() -> int:
    """Return 0 when every image was built."""
    parser = argparse.ArgumentParser(prog="tools/images/build", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--force", action="store_true", help=FORCE)
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(RECIPES))
    if unknown:
        parser.error(f"unknown image {unknown[0]!r}; there are: {', '.join(RECIPES)}")
    if platform.machine() != "x86_64":
        parser.error(f"images are for x86-64 and are built on it; this is {platform.machine()}")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with (OUTPUT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if arguments.force:
                refresh()
            for name in arguments.names or RECIPES:
                print(build(name, force=arguments.force), flush=True)
        except subprocess.CalledProcessError as error:
            print(f"error: {error.cmd[0]} failed with status {error.returncode}", file=sys.stderr)
            return 1
        except DebianError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
