"""Root file system → OCI archive, by buildah. Neighbour: ``build.py``."""

import os
import subprocess
from pathlib import Path

ENVIRONMENT = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
EPOCH = "1700000000"


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
    rootfs: Path, archive: Path, image: str, command: list[str], environment: tuple[str, ...]
) -> None:
    """Write an OCI archive of `rootfs`, user 65532, entry point `command`, tagged `image`.

    `environment`: `NAME=value` besides what all images have.
    """
    container = buildah("from", "scratch")
    try:
        buildah("copy", "--quiet", container, str(rootfs), "/")
        settings = ["--user", "65532:65532", "--workingdir", "/", "--env", "LANG=C.UTF-8"]
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
        buildah("rm", container)
