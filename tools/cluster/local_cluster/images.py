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

NAME = "org.opencontainers.image.ref.name"
ABSENT = "does not resolve to an image ID"  # skopeo's words


def import_archive(settings: Settings, archive: Path) -> list[str]:
    """Import an OCI archive into both nodes; the names of what it held."""
    ctr = bin_folder(settings) / "ctr"
    output = ""
    for node in settings.nodes:
        command: list[str | Path] = [ctr, "--address", node.containerd_socket, "-n", "k8s.io"]
        command += ["images", "import", "--local", "--digests=false", archive]
        output = run(command, f"importing {archive.name} into {node.name}")
    return [line.split()[0] for line in output.splitlines() if line.startswith("localhost/")]


def named_images(archive: Path) -> dict[str, str]:
    """Name with tag → digest of what an OCI archive holds; nothing if its index cannot be read."""
    try:
        with tarfile.open(archive) as opened:
            index = opened.extractfile("index.json")
            value = json.load(index) if index else {}
        rows = value.get("manifests", [])
        return {row["annotations"][NAME]: row["digest"] for row in rows}
    except (KeyError, ValueError, tarfile.TarError):
        return {}


def parse_listing(listing: str) -> dict[str, str]:
    """Name → digest of the images that ``ctr images ls`` prints."""
    rows = (line.split() for line in listing.splitlines()[1:])
    return {name: digest for name, _, digest, *_ in rows}


def are_held(wanted: dict[str, str], held: dict[str, str]) -> bool:
    """Whether a node has each image under its very name: a pod asks by name, not by content."""
    return bool(wanted) and wanted.items() <= held.items()


def _is_loaded(settings: Settings, wanted: dict[str, str]) -> bool:
    for node in settings.nodes:
        command: list[str | Path] = [bin_folder(settings) / "ctr"]
        command += ["--address", node.containerd_socket]
        command += ["-n", "k8s.io", "images", "ls"]
        if not are_held(wanted, parse_listing(run(command, f"listing images of {node.name}"))):
            return False
    return True


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
        if _is_loaded(settings, named_images(path)):
            say(f"{path.name} is on both nodes already")
            return
        names = import_archive(settings, path)
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
        try:
            run(copy, f"reading the image {image}")
        except ClusterError as error:
            if ABSENT not in str(error):
                raise
            raise ClusterError(
                f"there is no image {image} in the storage of buildah and podman; "
                "build or pull it there, or give the path of an OCI archive"
            ) from error
        import_archive(settings, archive)
    say(f"loaded {image} into both nodes")
