"""Pods are as restricted as they can be and hold no credentials of Kubernetes."""

import json

import pytest
from demo import DEVICES, get, kubectl, twin_of

pytestmark = pytest.mark.demo
TOKENS = "/var/run/secrets/kubernetes.io"
LIST_TOKENS = f"import os; print(os.path.exists({TOKENS!r}))"


def list_pods(role):
    found = get("pod", "-l", f"metertwin.io/role={role}")
    assert found
    return found


def is_token(volume):
    sources = volume.get("projected", {}).get("sources", [])
    return any("serviceAccountToken" in source for source in sources)


@pytest.mark.parametrize("role", ["twin", "meter", "operator"])
def test_pods_satisfy_restricted(role):
    for pod in list_pods(role):
        spec = pod["spec"]
        name = pod["metadata"]["name"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            assert not spec.get(field), name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert own["readOnlyRootFilesystem"] is True, name
            assert not own.get("privileged"), name
            assert "memory" in container["resources"]["limits"], name
        allowed = {"name", "secret", "configMap", "emptyDir", "projected", "persistentVolumeClaim"}
        for volume in spec["volumes"]:
            assert volume.keys() <= allowed, name


def test_the_api_server_holds_the_namespace_to_restricted():
    label = "pod-security.kubernetes.io/enforce"
    namespace = json.loads(kubectl("get", "namespace", "metertwin-demo", "-o", "json").stdout)
    assert namespace["metadata"]["labels"][label] == "restricted"
    image = "localhost/metertwin/twin:dev"
    done = kubectl("run", "root", f"--image={image}", "--dry-run=server", check=False)
    assert done.returncode != 0
    assert 'violates PodSecurity "restricted' in done.stderr


@pytest.mark.parametrize("role", ["twin", "meter"])
def test_no_credentials_of_kubernetes_are_mounted(role):
    for pod in list_pods(role):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert not any(is_token(volume) for volume in pod["spec"]["volumes"])


def test_the_operators_pod_shows_what_a_token_looks_like():
    """The check above can fail: the operator needs a token and has one."""
    assert any(
        is_token(volume) for pod in list_pods("operator") for volume in pod["spec"]["volumes"]
    )


def test_a_twin_finds_no_token_in_its_files():
    pod = twin_of("house-1")["metadata"]["name"]
    assert kubectl("exec", pod, "--", "python3", "-c", LIST_TOKENS).stdout.strip() == "False"


@pytest.mark.parametrize("verb", ["get secrets", "list pods", "create pods", "get smartmeters"])
def test_the_account_of_twins_may_do_nothing(verb):
    account = "system:serviceaccount:metertwin-demo:metertwin-twin"
    done = kubectl("auth", "can-i", *verb.split(), f"--as={account}", check=False)
    assert done.stdout.strip() == "no"


def test_a_twin_mounts_its_own_secret_only():
    for device in DEVICES:
        pod = twin_of(device)
        found = [row["secret"]["secretName"] for row in pod["spec"]["volumes"] if "secret" in row]
        assert found == [pod["metadata"]["name"]]
