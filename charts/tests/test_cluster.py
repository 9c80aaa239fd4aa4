"""The chart on a real cluster: what the API server says, and the demo's own installation."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "metertwin"
CASES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").iterdir())
pytestmark = pytest.mark.cluster
# Kinds that the cluster may not know, and hooks whose account exists only while they run.
NOT_APPLIED = {"PodMonitor", "PrometheusRule", "ServiceMonitor", "Pod"}


def kubectl(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess:
    assert shutil.which("kubectl"), "kubectl is needed on the PATH"
    return subprocess.run(
        ["kubectl", *arguments], input=text, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("case", CASES)
def test_the_api_server_accepts_every_object(render, case):
    # Under other names: what the demo has is changed by Helm, which knows what it wrote before.
    new = ("meterNamespaces={metertwin-demo}", "fullnameOverride=other")
    manifests = [m for m in render(case, *new) if m["kind"] not in NOT_APPLIED]
    done = kubectl("apply", "--dry-run=server", "-f", "-", text=yaml.safe_dump_all(manifests))
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(700)
def test_helm_test_declares_a_meter_that_becomes_ready(helm):
    done = helm("test", "metertwin", "-n", "metertwin-demo", "--logs", "--timeout", "600s")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pki_job_kept_its_secrets_and_the_namespace_is_restricted():
    done = kubectl("get", "namespace", "metertwin-demo", "-o", "jsonpath={.metadata.labels}")
    assert '"pod-security.kubernetes.io/enforce":"restricted"' in done.stdout
    for name in ("metertwin-ca", "metertwin-fleet-key", "metertwin-mosquitto-tls"):
        assert kubectl("get", "secret", name, "-n", "metertwin-demo").returncode == 0
