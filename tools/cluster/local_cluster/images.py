"""Bring images into both nodes: there is no registry."""

import json
import shutil
import tarfile
import tempfile
from pathlib import Path

from .archive import program_archive
from .binaries import bin_folder
from .commands import run
from .preconditions import ensure_packages
from .progress import say
from .settings import COREDNS_IMAGE, PAUSE_IMAGE, ClusterError, Settings


def import_archive(settings: Settings, archive: Path) -> list[str]:
    """Import an OCI archive into both nodes; the names of what it held."""
    ctr = bin_folder(settings) / "ctr"
    output = ""
    for node in settings.nodes:
        command: list[str | Path] = [ctr, "--address", node.containerd_socket, "-n", "k8s.io"]
        command += ["images", "import", "--local", "--digests=false", archive]
        output = run(command, f"importing {archive.name} into {node.name}")
    return [line.split()[0] for line in output.splitlines() if line.startswith("localhost/")]


def manifest_digest(archive: Path) -> str:
    """The digest of what an OCI archive holds, or nothing if its index cannot be read."""
    try:
        with tarfile.open(archive) as opened:
            index = opened.extractfile("index.json")
            value = json.load(index) if index else {}
    except (KeyError, ValueError, tarfile.TarError):
        return ""
    return " ".join(sorted(entry["digest"] for entry in value.get("manifests", [])))


def _is_loaded(settings: Settings, archive: Path, digest: str) -> bool:
    record = settings.state / "loaded" / archive.name
    return bool(digest) and record.exists() and record.read_text() == digest


def _remember_loaded(settings: Settings, archive: Path, digest: str) -> None:
    record = settings.state / "loaded" / archive.name
    record.parent.mkdir(exist_ok=True)
    record.write_text(digest)


def _archive_of_program(settings: Settings, reference: str, program: str) -> Path:
    source = bin_folder(settings) / program
    key = source.resolve().parent.name.rpartition("-")[2]
    archive = settings.cache / "archives" / f"{program}-{key}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        unfinished = archive.with_suffix(".part")
        unfinished.write_bytes(program_archive(reference, source.resolve()))
        unfinished.rename(archive)
    return archive


def ensure_own_images(settings: Settings) -> None:
    """The images that the cluster itself needs: pause and CoreDNS."""
    for reference, program in ((PAUSE_IMAGE, "pause"), (COREDNS_IMAGE, "coredns")):
        import_archive(settings, _archive_of_program(settings, reference, program))


def load_image(settings: Settings, image: str) -> None:
    """Import an image: the path of an OCI archive, or a name in buildah's or podman's storage.

    Raises:
        ClusterError: there is no such archive or image.
    """
    path = Path(image.removeprefix("oci-archive:"))
    if path.is_file():
        digest = manifest_digest(path)
        if _is_loaded(settings, path, digest):
            say(f"{path.name} is on both nodes already")
            return
        names = import_archive(settings, path)
        _remember_loaded(settings, path, digest)
        say(f"loaded {', '.join(names) or path.name} into both nodes")
        return
    if "/" in image and path.suffix == ".tar":
        raise ClusterError(f"there is no archive {image}")
    if not shutil.which("skopeo"):
        ensure_packages(("skopeo",))
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        target = f"oci-archive:{archive}:{image}"
        copy = ["skopeo", "copy", "-q", "--insecure-policy", f"containers-storage:{image}", target]
        run(copy, f"reading the image {image}")
        import_archive(settings, archive)
    say(f"loaded {image} into both nodes")
