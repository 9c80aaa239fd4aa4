"""The command line of each process of the cluster (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .settings import Node, Settings


@dataclass(frozen=True)
class Daemon:
    """One long-running process: its name, command line and environment."""

    name: str
    program: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def _flags(values: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(f"--{name}={value}" for name, value in values.items())


def etcd(settings: Settings) -> Daemon:
    """The store; every sync is skipped because the cluster is made anew, not recovered."""
    pki = settings.pki
    return Daemon(
        "etcd",
        "etcd",
        _flags(
            {
                "data-dir": settings.state / "etcd",
                "listen-client-urls": "https://127.0.0.1:2379",
                "advertise-client-urls": "https://127.0.0.1:2379",
                "listen-peer-urls": "http://127.0.0.1:2380",
                "client-cert-auth": "true",
                "trusted-ca-file": pki / "etcd-ca.crt",
                "cert-file": pki / "etcd.crt",
                "key-file": pki / "etcd.key",
                "unsafe-no-fsync": "true",
                "log-level": "warn",
            }
        ),
    )


def apiserver(settings: Settings) -> Daemon:
    """The API server, with node authorisation and the default admission (Pod Security too)."""
    pki = settings.pki
    return Daemon(
        "kube-apiserver",
        "kube-apiserver",
        _flags(
            {
                "bind-address": settings.api_address,
                "advertise-address": settings.api_address,
                "secure-port": 6443,
                "etcd-servers": "https://127.0.0.1:2379",
                "etcd-cafile": pki / "etcd-ca.crt",
                "etcd-certfile": pki / "etcd-client.crt",
                "etcd-keyfile": pki / "etcd-client.key",
                "client-ca-file": pki / "ca.crt",
                "tls-cert-file": pki / "apiserver.crt",
                "tls-private-key-file": pki / "apiserver.key",
                "kubelet-certificate-authority": pki / "ca.crt",
                "kubelet-client-certificate": pki / "apiserver-kubelet.crt",
                "kubelet-client-key": pki / "apiserver-kubelet.key",
                "kubelet-preferred-address-types": "InternalIP",
                "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
                "service-account-key-file": pki / "service-accounts.key",
                "service-account-signing-key-file": pki / "service-accounts.key",
                "service-cluster-ip-range": settings.service_range,
                "authorization-mode": "Node,RBAC",
                "anonymous-auth": "false",
                "enable-admission-plugins": "NodeRestriction",
                "allow-privileged": "true",
            }
        ),
    )


def controller_manager(settings: Settings) -> Daemon:
    """The controllers, each with its own service account."""
    pki = settings.pki
    return Daemon(
        "kube-controller-manager",
        "kube-controller-manager",
        _flags(
            {
                "kubeconfig": pki / "kube-controller-manager.kubeconfig",
                "bind-address": "127.0.0.1",
                "use-service-account-credentials": "true",
                "service-account-private-key-file": pki / "service-accounts.key",
                "root-ca-file": pki / "ca.crt",
                "cluster-signing-cert-file": pki / "ca.crt",
                "cluster-signing-key-file": pki / "ca.key",
                "leader-elect": "false",
            }
        ),
    )


def scheduler(settings: Settings) -> Daemon:
    """The scheduler."""
    return Daemon(
        "kube-scheduler",
        "kube-scheduler",
        _flags(
            {
                "kubeconfig": settings.pki / "kube-scheduler.kubeconfig",
                "bind-address": "127.0.0.1",
                "leader-elect": "false",
            }
        ),
    )


def kube_proxy(settings: Settings) -> Daemon:
    """One kube-proxy: both nodes share the network namespace in which it writes its rules."""
    return Daemon(
        "kube-proxy", "kube-proxy", _flags({"config": settings.state / "kube-proxy.yaml"})
    )


def containerd(node: Node, bin_folder: Path) -> Daemon:
    """The container runtime of one node."""
    path = f"{bin_folder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return Daemon(
        f"containerd-{node.index}",
        "containerd",
        _flags({"config": node.folder / "containerd.toml"}),
        {"PATH": path},
    )


def kubelet(node: Node, settings: Settings) -> Daemon:
    """The node agent of one node."""
    return Daemon(
        f"kubelet-{node.index}",
        "kubelet",
        _flags(
            {
                "config": node.folder / "kubelet.yaml",
                "kubeconfig": settings.pki / f"kubelet-{node.index}.kubeconfig",
                "root-dir": node.folder / "kubelet",
                "cert-dir": node.folder / "kubelet/pki",
                "hostname-override": node.name,
                "node-ip": node.address,
            }
        ),
    )


def loopback(settings: Settings, descriptor: int) -> Daemon:
    """The door from 127.0.0.1 of the machine to the API server."""
    target = f"{settings.api_address}:6443"
    return Daemon("loopback", "loopback", _flags({"fd": descriptor, "target": target}))
