"""The configuration files of the cluster (pure): what each cost in failed tries stands beside it.

JSON is YAML, so Kubernetes' own files are written as JSON.
"""

import json
from pathlib import Path
from typing import Any

from .settings import PAUSE_IMAGE, Node, Settings

CNI_FOLDER = "/usr/lib/cni"


def kubelet_config(node: Node, settings: Settings) -> dict[str, Any]:
    """The kubelet's configuration."""
    pki = settings.pki
    socket = f"unix://{node.containerd_socket}"
    return {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "address": node.address,
        "healthzBindAddress": node.address,
        "tlsCertFile": str(pki / f"kubelet-{node.index}-server.crt"),
        "tlsPrivateKeyFile": str(pki / f"kubelet-{node.index}-server.key"),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": socket,
        "cgroupDriver": "cgroupfs",
        # One root for each node: with a common one, each ends the other's pods as orphans.
        "cgroupRoot": node.cgroup,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "maxPods": 500,
        "podPidsLimit": 512,
        "serializeImagePulls": False,
        "clusterDNS": [settings.dns_service],
        "clusterDomain": "cluster.local",
        "resolvConf": str(settings.state / "resolv.conf"),
        "podLogsDir": str(node.folder / "pod-logs"),
        "volumePluginDir": str(node.folder / "volume-plugins"),
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1Gi"},
        "imageGCHighThresholdPercent": 100,
        "syncFrequency": "30s",
    }


def kube_proxy_config(settings: Settings) -> dict[str, Any]:
    """The Service proxy; limits of the machine's connection tracking stay as they are."""
    return {
        "kind": "KubeProxyConfiguration",
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "clientConnection": {"kubeconfig": str(settings.pki / "kube-proxy.kubeconfig")},
        "hostnameOverride": settings.nodes[0].name,
        "mode": "iptables",
        "clusterCIDR": settings.pod_range,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def cni_config(node: Node) -> dict[str, Any]:
    """Point-to-point links: every packet of a pod is routed, so Service rules always see it.

    On a bridge the answer of a pod on the same node would pass by those rules.
    """
    return {
        "cniVersion": "1.0.0",
        "name": node.name,
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "mtu": 1500,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(node.folder / "addresses"),
                    "ranges": [[{"subnet": node.pod_range}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
        ],
    }


def containerd_config(node: Node, bin_folder: Path) -> str:
    """The runtime's configuration (TOML)."""
    folder = node.folder
    return f"""version = 3
root = '{folder}/containerd'
state = '{folder}/containerd-state'
temp = '{folder}/temporary'
disabled_plugins = [
  'io.containerd.snapshotter.v1.blockfile', 'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.erofs', 'io.containerd.snapshotter.v1.zfs',
  'io.containerd.differ.v1.erofs', 'io.containerd.nri.v1.nri',
  'io.containerd.image-verifier.v1.bindir',
]

[grpc]
address = '{node.containerd_socket}'

[ttrpc]
address = '{node.containerd_socket}.ttrpc'

[plugins.'io.containerd.internal.v1.opt']
path = '{folder}/opt'

[plugins.'io.containerd.shim.v1.manager']
socket_dir = '{folder}/s'

[plugins.'io.containerd.cri.v1.images']
snapshotter = 'overlayfs'

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{PAUSE_IMAGE}'

[plugins.'io.containerd.cri.v1.runtime']
# Without it: "failed to update /proc/self/oom_score_adj: Permission denied".
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
# The default, one second, asks the shim of each container each second: at a hundred pods half a
# core does nothing else. cAdvisor looks every ten.
stats_collect_period = '10s'
disable_apparmor = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['{CNI_FOLDER}']
conf_dir = '{folder}/cni'

[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = 'runc'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
runtime_path = '{bin_folder}/containerd-shim-runc-v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = 'runc'
Root = '{folder}/runc'
"""


def kubeconfig(server: str, pki: Path, certificate: str, *, embed: bool = False) -> dict[str, Any]:
    """A kubeconfig; with `embed` it holds keys and certificates itself and can be moved."""
    files = {
        "certificate-authority": pki / "ca.crt",
        "client-certificate": pki / f"{certificate}.crt",
        "client-key": pki / f"{certificate}.key",
    }
    if embed:
        import base64  # noqa: PLC0415  # only the administrator's file needs it

        values = {
            f"{name}-data": base64.b64encode(path.read_bytes()).decode()
            for name, path in files.items()
        }
    else:
        values = {name: str(path) for name, path in files.items()}
    cluster = {name: value for name, value in values.items() if "authority" in name}
    user = {name: value for name, value in values.items() if "client" in name}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "metertwin", "cluster": {"server": server, **cluster}}],
        "users": [{"name": certificate, "user": user}],
        "contexts": [
            {"name": "metertwin", "context": {"cluster": "metertwin", "user": certificate}}
        ],
        "current-context": "metertwin",
    }


def _write(path: Path, content: str, mode: int = 0o644) -> None:
    """Write a file if it says something else: kube-proxy ends whenever its own is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=mode)
    path.chmod(mode)
    if path.read_text() != content:
        path.write_text(content)


def write_configuration(settings: Settings, bin_folder: Path) -> None:
    """Write every file that is not there yet, or says something else."""
    pki = settings.pki
    parts = ["kube-controller-manager", "kube-scheduler", "kube-proxy"]
    parts += [f"kubelet-{node.index}" for node in settings.nodes]
    for part in parts:
        content = kubeconfig(settings.inner_server, pki, part)
        _write(pki / f"{part}.kubeconfig", json.dumps(content, indent=1), 0o600)
    admin = kubeconfig(settings.server, pki, "admin", embed=True)
    _write(settings.kubeconfig, json.dumps(admin, indent=1), 0o600)
    _write(settings.state / "kube-proxy.yaml", json.dumps(kube_proxy_config(settings), indent=1))
    _write(settings.state / "resolv.conf", "# no name server: nothing leaves this machine\n")
    for node in settings.nodes:
        cni = json.dumps(cni_config(node), indent=1)
        _write(node.folder / "containerd.toml", containerd_config(node, bin_folder))
        _write(node.folder / "kubelet.yaml", json.dumps(kubelet_config(node, settings), indent=1))
        _write(node.folder / "cni" / "10-pods.conflist", cni)
        for name in ("temporary", "pod-logs"):
            (node.folder / name).mkdir(parents=True, exist_ok=True)
