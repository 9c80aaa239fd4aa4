"""Which cluster the demo goes to, and how images get there.

A given ``KUBECONFIG`` or ``CONTEXT`` is used as it is: kind and k3d load images with their own
tools, any other cluster pulls from ``REGISTRY``. Without one, the local cluster of
``tools/cluster`` is brought up. Neighbour: ``demo.py``, which decides the order.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from progress import fail

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "tools/cluster/cluster"
IMAGES = ("twin", "operator", "mosquitto", "firmware")


class Target(NamedTuple):
    """A cluster: its kubeconfig, its context (empty: the current one) and how images arrive."""

    kubeconfig: str
    context: str
    loader: str  # local, kind, k3d or registry

    def environment(self) -> dict[str, str]:
        """Return the environment for kubectl, helm and the plugin."""
        environment = dict(os.environ, KUBECONFIG=self.kubeconfig)
        binaries = local_binaries()
        if binaries:
            environment["PATH"] = f"{binaries}:{environment['PATH']}"
        return environment


def local_binaries() -> str:
    """Return the folder of kubectl and helm that tools/cluster built, or nothing."""
    done = subprocess.run(
        [str(CLUSTER), "bin"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def loader_of(context: str) -> str:
    """Return how images reach the cluster of a kubeconfig context."""
    if context.startswith("kind-"):
        return "kind"
    if context.startswith("k3d-"):
        return "k3d"
    return "registry"


def choose_target() -> Target:
    """Return the given cluster, or bring up the local one.

    Raises:
        SystemExit: the given cluster cannot be used, with the reason.
    """
    given = os.environ.get("KUBECONFIG", "")
    context = os.environ.get("CONTEXT", "")
    if not given and not context:
        subprocess.run([str(CLUSTER), "up"], check=True, cwd=ROOT)
        path = subprocess.run(
            [str(CLUSTER), "kubeconfig"], check=True, capture_output=True, text=True, cwd=ROOT
        )
        return Target(path.stdout.strip(), "", "local")
    kubeconfig = given or str(Path.home() / ".kube/config")
    if kubeconfig == local_kubeconfig():
        return Target(kubeconfig, "", "local")
    context = context or current_context(kubeconfig)
    loader = loader_of(context)
    if loader == "registry" and not os.environ.get("REGISTRY"):
        fail(
            f"context {context!r} is neither kind nor k3d: set REGISTRY=host/path, "
            "a registry that the cluster can pull from and you can push to"
        )
    return Target(kubeconfig, context, loader)


def local_kubeconfig() -> str:
    """Return the kubeconfig path of the local cluster, whether it runs or not."""
    done = subprocess.run(
        [str(CLUSTER), "kubeconfig"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return done.stdout.strip()


def current_context(kubeconfig: str) -> str:
    """Return the current context of a kubeconfig."""
    done = subprocess.run(
        ["kubectl", "--kubeconfig", kubeconfig, "config", "view", "-o", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        fail(f"KUBECONFIG={kubeconfig} cannot be read by kubectl: {done.stderr.strip()}")
    return str(json.loads(done.stdout).get("current-context", ""))


def load_image(target: Target, name: str) -> None:
    """Bring one built image onto the nodes (or into the registry) of the target."""
    image = f"localhost/metertwin/{name}:dev"
    archive = ROOT / "build/images" / f"{name}.tar"
    source = f"oci-archive:{archive}:{image}"
    if target.loader == "local":
        commands = [[str(CLUSTER), "load", str(archive)]]
    elif target.loader == "registry":
        registry = os.environ["REGISTRY"].rstrip("/")
        commands = [["skopeo", "copy", "--quiet", source, f"docker://{registry}/{name}:dev"]]
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
        cluster = target.context.removeprefix("kind-")
        return ["kind", "load", "image-archive", str(archive), "--name", cluster]
    cluster = target.context.removeprefix("k3d-")
    return ["k3d", "image", "import", str(archive), "-c", cluster]
