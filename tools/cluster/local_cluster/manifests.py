"""What the cluster needs inside: CoreDNS, and the API server's right to reach kubelets (pure)."""

from typing import Any

from .settings import COREDNS_IMAGE, Settings

_LABELS = {"k8s-app": "kube-dns"}
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_SYSTEM = "/api/v1/namespaces/kube-system"
COREFILE = """.:5353 {
    errors
    health :8080
    ready :8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        ttl 5
    }
    cache 5
    loadbalance
}
"""


def _item(api: str, kind: str, name: str, **rest: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **rest}


def _binding(name: str, role: str, subject: dict[str, str]) -> dict[str, Any]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    return _item(
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        name,
        roleRef=reference,
        subjects=[subject],
    )


def _rights() -> list[tuple[str, dict[str, Any]]]:
    rules = [
        {
            "apiGroups": [""],
            "resources": ["endpoints", "services", "pods", "namespaces"],
            "verbs": ["list", "watch"],
        },
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices"],
            "verbs": ["list", "watch"],
        },
    ]
    role = _item("rbac.authorization.k8s.io/v1", "ClusterRole", "metertwin:coredns", rules=rules)
    account = {"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}
    server = {
        "kind": "User",
        "name": "kube-apiserver-kubelet",
        "apiGroup": "rbac.authorization.k8s.io",
    }
    nodes = _binding("metertwin:apiserver-kubelet", "system:kubelet-api-admin", server)
    names = _binding("metertwin:coredns", "metertwin:coredns", account)
    return [
        (f"{_RBAC}/clusterrolebindings/metertwin:apiserver-kubelet", nodes),
        (f"{_RBAC}/clusterroles/metertwin:coredns", role),
        (f"{_RBAC}/clusterrolebindings/metertwin:coredns", names),
        (f"{_SYSTEM}/serviceaccounts/coredns", _item("v1", "ServiceAccount", "coredns")),
    ]


def _container() -> dict[str, Any]:
    return {
        "name": "coredns",
        "image": COREDNS_IMAGE,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "resources": {"requests": {"cpu": "20m", "memory": "40Mi"}},
        "ports": [
            {"name": "dns", "containerPort": 5353, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 5353, "protocol": "TCP"},
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 10},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }


def _deployment() -> dict[str, Any]:
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _LABELS},
    }
    pod = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "topologySpreadConstraints": [spread],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container()],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    template = {"metadata": {"labels": _LABELS}, "spec": pod}
    selector = {"matchLabels": _LABELS}
    spec = {"replicas": 2, "selector": selector, "template": template}
    return _item("apps/v1", "Deployment", "coredns", spec=spec)


def system_items(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    """API path and object of everything that `up` applies."""
    ports = [
        {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "targetPort": 5353, "protocol": "TCP"},
    ]
    service = _item(
        "v1",
        "Service",
        "kube-dns",
        spec={"clusterIP": settings.dns_service, "selector": _LABELS, "ports": ports},
    )
    corefile = _item("v1", "ConfigMap", "coredns", data={"Corefile": COREFILE})
    return [
        *_rights(),
        (f"{_SYSTEM}/configmaps/coredns", corefile),
        (f"{_SYSTEM}/services/kube-dns", service),
        ("/apis/apps/v1/namespaces/kube-system/deployments/coredns", _deployment()),
    ]
