"""The images that were built: their names on the cluster, how they get there, the chart's values.

A tag names the content (``tools/images/build``). Neighbour: ``target.py``, which chose the cluster.
"""

import json
import os
import subprocess
from pathlib import Path

from target import CLUSTER, ROOT, Target

IMAGES = ("twin", "operator", "mosquitto", "firmware")
OF_THE_CHART = ("operator", "twin", "mosquitto")
VALUES = ROOT / "build/demo/images.json"


def image_tag(name: str) -> str:
    """Return the tag of one built image, as the build wrote it down."""
    record: dict[str, str] = json.loads((ROOT / "build/images" / f"{name}.json").read_text())
    return record["tag"]


def repository(target: Target, name: str) -> str:
    """Return where the cluster finds an image, without its tag."""
    if target.loader == "registry":
        return f"{os.environ['REGISTRY'].rstrip('/')}/{name}"
    return f"localhost/metertwin/{name}"


def image_of(target: Target, name: str) -> str:
    """Return a built image as the cluster knows it."""
    return f"{repository(target, name)}:{image_tag(name)}"


def write_values(target: Target) -> Path:
    """Write the chart's values that name the built images; the benchmark uses them too."""
    values = {
        name: {"image": {"registry": "", "repository": where, "tag": image_tag(name)}}
        for name in OF_THE_CHART
        for where in (repository(target, name),)
    }
    VALUES.parent.mkdir(parents=True, exist_ok=True)
    VALUES.write_text(json.dumps(values, indent=1) + "\n")
    return VALUES


def load_image(target: Target, name: str) -> None:
    """Bring one built image onto the nodes (or into the registry) of the target."""
    image = f"localhost/metertwin/{name}:{image_tag(name)}"
    archive = ROOT / "build/images" / f"{name}.tar"
    source = f"oci-archive:{archive}:{image}"
    if target.loader == "local":
        commands = [[str(CLUSTER), "load", str(archive)]]
    elif target.loader == "registry":
        wanted = image_of(target, name)
        push = ["skopeo", "copy", "--quiet", source, f"docker://{wanted}"]
        if wanted.startswith(("localhost", "127.0.0.1")):
            push.insert(2, "--dest-tls-verify=false")
        commands = [push]
    else:
        docker = archive.with_suffix(".docker.tar")
        docker.unlink(missing_ok=True)
        convert = ["skopeo", "copy", "--quiet", source, f"docker-archive:{docker}:{image}"]
        commands = [convert, importing(target, docker)]
    for command in commands:
        subprocess.run(command, check=True, env=target.environment(), cwd=ROOT)


def importing(target: Target, archive: Path) -> list[str]:
    """Return the command by which kind or k3d takes a docker archive."""
    if target.loader == "kind":
        return ["kind", "load", "image-archive", str(archive), "--name", target.name]
    return ["k3d", "image", "import", str(archive), "-c", target.name]
