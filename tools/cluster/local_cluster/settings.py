"""Where everything lives and what it is called: the one place for names, paths and addresses."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "v1.36.3"
COREDNS_VERSION = "1.15.0"
PAUSE_IMAGE = "localhost/metertwin/pause:1"
COREDNS_IMAGE = f"localhost/metertwin/coredns:{COREDNS_VERSION}"
LONGEST_NAME = 12  # the path of a shim's socket must fit into 108 bytes
SOURCE = Path(__file__).resolve().parent.parent


class ClusterError(Exception):
    """Something is lacking or failed; the message names it and the remedy in one line."""


@dataclass(frozen=True)
class Node:
    """One node: a containerd and a kubelet of their own on the same machine."""

    name: str
    index: int
    address: str
    pod_range: str
    cgroup: str
    folder: Path

    @property
    def containerd_socket(self) -> Path:
        """The socket of this node's containerd."""
        return self.folder / "containerd.sock"


@dataclass(frozen=True)
class Settings:
    """All that differs between two clusters on one machine."""

    name: str
    state: Path
    cache: Path
    api_port: int

    # The cluster's own network namespace, so these never meet the machine's addresses.
    api_address = "10.97.0.10"
    bridge_address = "10.97.0.1/24"
    service_range = "10.97.16.0/20"
    api_service = "10.97.16.1"
    dns_service = "10.97.16.10"
    pod_range = "10.97.32.0/19"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Both nodes."""
        return tuple(
            Node(
                name=f"{self.name}-{index}",
                index=index,
                address=f"10.97.0.{10 + index}",
                pod_range=f"10.97.{16 + 16 * index}.0/20",
                cgroup=f"/{self.name}/node{index}",
                folder=self.state / f"node{index}",
            )
            for index in (1, 2)
        )

    @property
    def namespace(self) -> Path:
        """The file that keeps the cluster's network namespace."""
        return self.state / "net"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def records(self) -> Path:
        """One file for each process: its id and when it started."""
        return self.state / "processes"

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.state / "logs"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def server(self) -> str:
        """The API server as the machine sees it."""
        return f"https://127.0.0.1:{self.api_port}"

    @property
    def inner_server(self) -> str:
        """The API server as the cluster's own parts see it."""
        return f"https://{self.api_address}:6443"

    @property
    def system_cgroup(self) -> str:
        """The group of the daemons and the containers' shims (controllers pids and cpu only)."""
        return f"/{self.name}/system"


def load_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this machine; `METERTWIN_CLUSTER` names a second, independent cluster.

    Raises:
        ClusterError: a variable has no usable value.
    """
    name = environment.get("METERTWIN_CLUSTER", "metertwin")
    if not (name.replace("-", "").isalnum() and name == name.lower() and len(name) <= LONGEST_NAME):
        raise ClusterError(
            f"METERTWIN_CLUSTER={name}: use up to 12 of a-z, 0-9 and -, so that names stay short"
        )
    port = environment.get("METERTWIN_API_PORT", "16443")
    if not (port.isdigit() and 0 < int(port) < 2**16):
        raise ClusterError(f"METERTWIN_API_PORT={port}: not a port number")
    state = environment.get("METERTWIN_STATE", f"/var/lib/{name}-cluster")
    home = Path(environment.get("HOME", "/root"))
    base = Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "metertwin"
    cache = Path(environment.get("METERTWIN_CACHE") or base)
    return Settings(name, Path(state).absolute(), cache.absolute(), int(port))
