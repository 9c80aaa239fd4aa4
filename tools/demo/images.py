"""The images that were built: their names on the cluster, how they get there, the chart's values.

A tag names the content (``tools/images/build``). Neighbour: ``target.py``, which chose the cluster.
"""

import json
import os
import subprocess
from pathlib import Path

from target import CLUSTER, ROOT, Target

IMAGES = (
    "twin",
    "twin-next",
    "operator",
    "operator-next",
    "mosquitto",
    "archive",
    "postgres",
    "firmware",
    "firmware-esp8266",
    "utility",
    "ems",
)
OF_THE_CHART = ("operator", "twin", "mosquitto", "archive")
VALUES = ROOT / "build/demo/images.json"


def record_of(name: str) -> dict[str, str]:
    """Return what the build wrote down about one image."""
    record: dict[str, str] = json.loads((ROOT / "build/images" / f"{name}.json").read_text())
    return record


def image_tag(name: str) -> str:
    """Return the tag of one built image, as the build wrote it down."""
    return record_of(name)["tag"]


def tags(name: str) -> list[str]:
    """Return the names of one built image: of its content, then of its version if it has one.

    The second one moves with each build, so that people can write it by heart.
    """
    record = record_of(name)
    return [record["tag"], *([record["version"]] if "version" in record else [])]


def repository(target: Target, name: str) -> str:
    """Return where the cluster finds an image, without its tag; a version is where its base is."""
    name = record_of(name).get("base", name)
    if target.loader == "registry":
        return f"{os.environ['REGISTRY'].rstrip('/')}/{name}"
    return f"localhost/metertwin/{name}"


def image_of(target: Target, name: str) -> str:
    """Return a built image as the cluster knows it."""
    return f"{repository(target, name)}:{image_tag(name)}"


def write_values(target: Target, ranges: list[str]) -> Path:
    """Write the chart's values that name the built images; the benchmark uses them too.

    Args:
        target: the cluster.
        ranges: from which the boards without TLS come.
    """

    def image(name: str) -> dict[str, object]:
        where = repository(target, name)
        return {"image": {"registry": "", "repository": where, "tag": image_tag(name)}}

    values = {name: image(name) for name in OF_THE_CHART}
    values["archive"]["postgres"] = image("postgres")
    values["mosquitto"]["constrainedListener"] = {"allowedCidrs": ranges}
    VALUES.parent.mkdir(parents=True, exist_ok=True)
    VALUES.write_text(json.dumps(values, indent=1) + "\n")
    return VALUES


def load_image(target: Target, name: str) -> None:
    """Bring one built image onto the nodes (or into the registry) of the target."""
    archive = ROOT / "build/images" / f"{name}.tar"
    if target.loader == "local":
        commands = [[str(CLUSTER), "load", str(archive)]]
    elif target.loader == "registry":
        commands = [pushing(target, name, archive, one) for one in tags(name)]
    else:
        commands = importing(target, name, archive)
    for command in commands:
        subprocess.run(command, check=True, env=target.environment(), cwd=ROOT)


def built_image(name: str) -> str:
    """Return the name by which the build's archive knows its content, without a tag."""
    return f"localhost/metertwin/{record_of(name).get('base', name)}"


def pushing(target: Target, name: str, archive: Path, tag: str) -> list[str]:
    """Return the command that brings one name of an image into the registry."""
    wanted = f"{repository(target, name)}:{tag}"
    source = f"oci-archive:{archive}:{built_image(name)}:{tag}"
    push = ["skopeo", "copy", "--quiet", source, f"docker://{wanted}"]
    if wanted.startswith(("localhost", "127.0.0.1")):
        push.insert(2, "--dest-tls-verify=false")
    return push


def importing(target: Target, name: str, archive: Path) -> list[list[str]]:
    """Return the commands by which kind or k3d takes an image, as a docker archive."""
    docker = archive.with_suffix(".docker.tar")
    docker.unlink(missing_ok=True)
    image, *more = (f"{built_image(name)}:{tag}" for tag in tags(name))
    convert = ["skopeo", "copy", "--quiet", *(f"--additional-tag={one}" for one in more)]
    convert += [f"oci-archive:{archive}:{image}", f"docker-archive:{docker}:{image}"]
    if target.loader == "kind":
        return [convert, ["kind", "load", "image-archive", str(docker), "--name", target.name]]
    return [convert, ["k3d", "image", "import", str(docker), "-c", target.name]]
