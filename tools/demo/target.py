"""Which cluster the demo goes to.

A given ``KUBECONFIG`` or ``CONTEXT`` is used as it is: kind and k3d load images with their own
tools, any other cluster pulls from ``REGISTRY``. Without one, the local cluster of
``tools/cluster`` is brought up. Neighbours: ``demo.py``, which decides the order, and
``images.py``, which brings images there.
"""

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from progress import fail

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "tools/cluster/cluster"
COPY = ROOT / "build/demo/kubeconfig"


class Target(NamedTuple):
    """A cluster: its kubeconfig, how images arrive (local, kind, k3d, registry), its own name."""

    kubeconfig: str
    loader: str
    name: str = ""

    def environment(self) -> dict[str, str]:
        """Return the environment for kubectl, helm and the plugin."""
        environment = dict(os.environ, KUBECONFIG=self.kubeconfig)
        binaries = local_binaries()
        if binaries:
            environment["PATH"] = f"{binaries}:{environment['PATH']}"
        return environment


@functools.cache
def local_binaries() -> str:
    """Return the folder of kubectl and helm that tools/cluster built, or nothing.

    A local cluster is up before this is asked for the first time.
    """
    done = subprocess.run(
        [str(CLUSTER), "bin"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def is_cluster_given() -> bool:
    """Return whether the user named a cluster; our own one's path is none, also when it is down."""
    if os.environ.get("CONTEXT"):
        return True
    return os.environ.get("KUBECONFIG", "") not in ("", local_kubeconfig())


def loader_of(context: str) -> tuple[str, str]:
    """Return how images reach the cluster of a kubeconfig context, and the cluster's name."""
    for tool in ("kind", "k3d"):
        if context.startswith(f"{tool}-"):
            return tool, context.removeprefix(f"{tool}-")
    return "registry", context


def choose_target() -> Target:
    """Return the given cluster, or bring up the local one.

    Raises:
        SystemExit: the given cluster cannot be used, with the reason.
    """
    if is_cluster_given():
        return given_target()
    subprocess.run([str(CLUSTER), "up"], check=True, cwd=ROOT)
    return Target(local_kubeconfig(), "local")


def given_target() -> Target:
    """Return the cluster of KUBECONFIG and CONTEXT.

    A copy of its part of the kubeconfig is used, so that nothing of what follows can go to another
    context of the file.

    Raises:
        SystemExit: it cannot be reached or a tool is missing, with the reason and the remedy.
    """
    environment = dict(os.environ, PATH=f"{local_binaries()}:{os.environ['PATH']}")
    need("kubectl", "helm", path=environment["PATH"])
    context = os.environ.get("CONTEXT", "")
    view = ["kubectl", "config", "view", "--raw", "--flatten", "--minify", "-o", "json"]
    view += ["--context", context] if context else []
    done = subprocess.run(view, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        where = os.environ.get("KUBECONFIG") or "~/.kube/config"
        fail(
            f"KUBECONFIG ({where}), context {context or '(current)'}: {done.stderr.strip()}; "
            "give a kubeconfig that exists and a CONTEXT that it holds"
        )
    COPY.parent.mkdir(parents=True, exist_ok=True)
    COPY.unlink(missing_ok=True)
    COPY.touch(mode=0o600)
    COPY.write_text(done.stdout)
    loader, name = loader_of(str(json.loads(done.stdout).get("current-context", "")))
    target = Target(str(COPY), loader, name)
    if loader != "registry":
        need(loader)
    elif not os.environ.get("REGISTRY"):
        fail(
            f"context {name!r} is neither kind nor k3d: set REGISTRY=host/path, "
            "a registry that the cluster can pull from and you can push to"
        )
    version = ["kubectl", "version", "--request-timeout=10s"]
    done = subprocess.run(
        version, capture_output=True, text=True, check=False, env=target.environment()
    )
    if done.returncode != 0:
        fail(f"the cluster of context {name!r} does not answer: {done.stderr.strip()}")
    return target


def need(*tools: str, path: str | None = None) -> None:
    """End with one line that names the tools that are missing."""
    missing = [tool for tool in tools if shutil.which(tool, path=path) is None]
    if missing:
        fail(f"{' and '.join(missing)}: not found in PATH; install it and run this again")


@functools.cache
def local_kubeconfig() -> str:
    """Return the kubeconfig path of the local cluster, whether it runs or not.

    Raises:
        SystemExit: the settings of the local cluster cannot be used, with the reason.
    """
    done = subprocess.run(
        [str(CLUSTER), "folder"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode != 0:
        fail(done.stderr.strip())
    return f"{done.stdout.strip()}/kubeconfig"


def kubeconfig_in_use() -> str:
    """Return the kubeconfig of the given cluster, or of the local one.

    Raises:
        SystemExit: there is none, with the remedy.
    """
    if is_cluster_given():
        return given_target().kubeconfig
    if not Path(local_kubeconfig()).exists():
        fail("there is no local cluster: run `make demo` or `make cluster` first")
    return local_kubeconfig()
