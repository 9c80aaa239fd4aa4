"""Monitors find the pods whose metrics they are to read, and the port by its name.

The Prometheus Operator says nothing about a monitor that selects nobody. The twin's pod is the
golden file of the operator, which makes it; the operator's own is rendered.
"""

from pathlib import Path

import pytest
import yaml

GOLDEN = Path(__file__).resolve().parents[2] / "operator" / "tests" / "golden"
POD = "monitoring.podMonitor.enabled"
SERVICE = "monitoring.serviceMonitor.enabled"
NAMESPACES = {"default": ["metertwin-demo"], "full": ["street-a", "street-b"]}
OPERATOR = ("metertwin-demo", "metertwin-operator")
ARCHIVE = ("metertwin-demo", "metertwin-archive")
WITH_ARCHIVE = {"full"}


def name_of(manifest: dict) -> tuple[str, str]:
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def pods(manifests: list[dict], case: str) -> dict[tuple[str, str], dict]:
    """Return the pods that a monitor could meet, by namespace and who runs them."""
    found = {}
    for manifest in manifests:
        if manifest["kind"] in {"Deployment", "Job"}:
            found[name_of(manifest)] = manifest["spec"]["template"]
    for namespace in NAMESPACES[case]:
        for claim in ("", "-persistent"):
            twin = yaml.safe_load((GOLDEN / f"pod{claim}.yaml").read_text())
            found[namespace, f"twin{claim}"] = twin
    return found


def selected(by: dict[str, str], namespace: str, candidates: dict) -> set[tuple[str, str]]:
    """Return those with the labels in the same namespace."""
    return {
        key
        for key, found in candidates.items()
        if key[0] == namespace and by.items() <= found["metadata"]["labels"].items()
    }


def ports(pod: dict) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    }


def render_monitors(render, case: str, *, pod: bool, service: bool) -> list[dict]:
    return render(case, f"{POD}={str(pod).lower()}", f"{SERVICE}={str(service).lower()}")


def of_kind(manifests: list[dict], kind: str) -> list[dict]:
    return [m for m in manifests if m["kind"] == kind]


@pytest.mark.parametrize("case", NAMESPACES)
@pytest.mark.parametrize(
    ("pod", "service"), [(True, False), (True, True), (False, True), (False, False)]
)
def test_operator_archive_and_every_street_have_one_monitor_of_the_kind_asked_for(
    render, case, pod, service
):
    manifests = render_monitors(render, case, pod=pod, service=service)
    twins = [(namespace, "metertwin-twins") for namespace in NAMESPACES[case]]
    twins += [ARCHIVE] if case in WITH_ARCHIVE else []
    by_pod = [*twins, *([] if service else [OPERATOR])] if pod else []
    assert sorted(map(name_of, of_kind(manifests, "PodMonitor"))) == sorted(by_pod)
    assert list(map(name_of, of_kind(manifests, "ServiceMonitor"))) == [OPERATOR] * service


@pytest.mark.parametrize("case", NAMESPACES)
@pytest.mark.parametrize("service", [False, True], ids=["pod monitor alone", "both monitors"])
def test_a_pod_monitor_selects_its_pods_and_no_others_and_knows_their_port(render, case, service):
    manifests = render_monitors(render, case, pod=True, service=service)
    candidates = pods(manifests, case)
    for monitor in of_kind(manifests, "PodMonitor"):
        namespace, name = name_of(monitor)
        spec = monitor["spec"]
        # Without a namespaceSelector it looks in its own namespace.
        assert spec.keys() == {"selector", "podMetricsEndpoints"}
        assert spec["selector"].keys() == {"matchLabels"}
        twins = {(namespace, "twin"), (namespace, "twin-persistent")}
        expected = twins if name == "metertwin-twins" else {(namespace, name)}
        assert selected(spec["selector"]["matchLabels"], namespace, candidates) == expected
        (endpoint,) = spec["podMetricsEndpoints"]
        assert endpoint["path"] == "/metrics"
        # The operator's metrics name the namespace of a profile, a twin's name none.
        assert endpoint.get("honorLabels", False) == (name == "metertwin-operator")
        for key in expected:
            assert ports(candidates[key])[endpoint["port"]] == 8080


@pytest.mark.parametrize("case", NAMESPACES)
@pytest.mark.parametrize("pod", [False, True], ids=["service monitor alone", "both monitors"])
def test_the_service_monitor_selects_the_operators_service_which_selects_the_operator(
    render, case, pod
):
    manifests = render_monitors(render, case, pod=pod, service=True)
    (monitor,) = of_kind(manifests, "ServiceMonitor")
    services = {name_of(service): service for service in of_kind(manifests, "Service")}
    assert monitor["spec"].keys() == {"selector", "endpoints"}
    assert monitor["spec"]["selector"].keys() == {"matchLabels"}
    by = monitor["spec"]["selector"]["matchLabels"]
    assert selected(by, OPERATOR[0], services) == {OPERATOR}
    (endpoint,) = monitor["spec"]["endpoints"]
    (port,) = services[OPERATOR]["spec"]["ports"]
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
    assert endpoint["honorLabels"]
    candidates = pods(manifests, case)
    assert selected(services[OPERATOR]["spec"]["selector"], OPERATOR[0], candidates) == {OPERATOR}
    assert ports(candidates[OPERATOR])[port["targetPort"]] == 8080
