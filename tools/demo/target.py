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
    if target.loader == "local":
        command = [str(CLUSTER), "load", image]
    elif target.loader == "kind":
        archive = export(name, image)
        cluster = target.context.removeprefix("kind-")
        command = ["kind", "load", "image-archive", archive, "--name", cluster]
    elif target.loader == "k3d":
        archive = export(name, image)
        command = ["k3d", "image", "import", archive, "-c", target.context.removeprefix("k3d-")]
    else:
        registry = os.environ["REGISTRY"].rstrip("/")
        command = ["buildah", "push", image, f"docker://{registry}/{name}:dev"]
    subprocess.run(command, check=True, env=target.environment(), cwd=ROOT)


def export(name: str, image: str) -> str:
    """Write a docker archive that kind and k3d can import and return its path."""
    archive = ROOT / "build" / f"{name}.tar"
    archive.parent.mkdir(exist_ok=True)
    archive.unlink(missing_ok=True)
    subprocess.run(["buildah", "push", image, f"docker-archive:{archive}:{image}"], check=True)
    return str(archive)
