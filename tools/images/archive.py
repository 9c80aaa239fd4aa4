"""Root file system → OCI archive, by buildah. Neighbour: ``build.py``."""

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

ENVIRONMENT = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
EPOCH = "1700000000"
REFERENCE = "org.opencontainers.image.ref.name"


def buildah(*arguments: str) -> str:
    """Run buildah and return its output.

    Raises:
        subprocess.CalledProcessError: it failed; its own message is on stderr.
    """
    done = subprocess.run(
        ["buildah", *arguments],
        check=True,
        env=dict(os.environ, **ENVIRONMENT),
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip()


def write_archive(
    rootfs: Path,
    archive: Path,
    image: str,
    command: list[str],
    environment: tuple[str, ...],
    base: Path | None = None,
    stop: str = "SIGTERM",
) -> None:
    """Write an OCI archive of `rootfs`, user 65532, entry point `command`, tagged `image`.

    `environment`: `NAME=value` besides what all images have; `base`: the archive of an image over
    which `rootfs` lies, whose layers are shared; `stop`: the signal that ends it.
    """
    container = buildah("from", "--quiet", f"oci-archive:{base}" if base else "scratch")
    try:
        buildah("copy", "--quiet", container, str(rootfs), "/")
        settings = ["--user", "65532:65532", "--workingdir", "/", "--env", "LANG=C.UTF-8"]
        settings += ["--stop-signal", stop]
        settings += ["--env", "PYTHONUNBUFFERED=1", "--env", "PYTHONDONTWRITEBYTECODE=1"]
        settings += ["--env", "PYTHONPATH=/app"]
        settings += [f"--env={pair}" for pair in environment]
        entry = "[" + ",".join(f'"{part}"' for part in command) + "]"
        buildah("config", *settings, "--entrypoint", entry, container)
        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.unlink(missing_ok=True)
        destination = f"oci-archive:{archive}:{image}"
        buildah("commit", "--quiet", "--timestamp", EPOCH, container, destination)
    finally:
        used = buildah("inspect", "--format", "{{.FromImageID}}", container)
        buildah("rm", container)
        if used:
            buildah("rmi", used)


def add_name(archive: Path, name: str) -> None:
    """Give the one image of an OCI archive a second name beside its first."""
    with tarfile.open(archive) as opened:
        entry = opened.extractfile("index.json")
        assert entry is not None, "an OCI archive has an index"
        index = json.load(entry)
        (row,) = index["manifests"]
        index["manifests"].append({**row, "annotations": {**row["annotations"], REFERENCE: name}})
        changed = archive.with_suffix(".new")
        with tarfile.open(changed, "w") as written:
            for member in opened.getmembers():
                content = opened.extractfile(member)
                if member.name == "index.json":
                    text = json.dumps(index).encode()
                    member.size, content = len(text), io.BytesIO(text)
                written.addfile(member, content)
    changed.replace(archive)
