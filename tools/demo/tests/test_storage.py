"""Where the archive's PostgreSQL keeps its data: on the local cluster a folder, else the cluster's class."""

import json
from typing import Any

import pytest
from own_checkout import Checkout

ENSURE = "import storage, target; storage.ensure_volume(target.Target({!r}, {!r}), 'street')"
LOOK = "kubectl get pv metertwin-demo-postgres --ignore-not-found -o json"
CLASSES = "kubectl get storageclass -o json"
CLAIM = "kubectl get pvc data-metertwin-postgres-0 -n street --ignore-not-found -o name"
DEFAULT = "storageclass.kubernetes.io/is-default-class"


@pytest.fixture
def machine(checkout: Checkout) -> Checkout:
    checkout.program("kubectl")
    return checkout


@pytest.mark.parametrize(
    ("phase", "calls"),
    [
        ("", ["kubectl create -f -"]),
        ("Bound", []),
        ("Available", []),
        ("Released", ["kubectl delete pv metertwin-demo-postgres --wait", "kubectl create -f -"]),
    ],
)
def test_the_local_cluster_gets_one_volume_beside_its_own_files(
    machine: Checkout, phase: str, calls: list[str]
) -> None:
    if phase:
        machine.answer(LOOK, json.dumps({"status": {"phase": phase}}))
    done = machine.ask(ENSURE.format(f"{machine.root}/state/kubeconfig", "local"))
    assert done.returncode == 0, done.stderr
    assert (machine.root / "state/volumes/postgres").is_dir()
    assert machine.calls() == [LOOK, *calls]


def classes(*annotations: dict[str, str]) -> str:
    rows: list[dict[str, Any]] = [{"metadata": {"annotations": one}} for one in annotations]
    return json.dumps({"items": [*rows, {"metadata": {}}]})


@pytest.mark.parametrize(
    ("annotations", "claim", "taken"),
    [
        ([{DEFAULT: "true"}], "", True),
        ([{DEFAULT: "false"}], "persistentvolumeclaim/data-metertwin-postgres-0", True),
        ([{DEFAULT: "false"}], "", False),
        ([], "", False),
    ],
)
def test_a_given_cluster_has_a_default_class_or_the_claim_or_is_refused_with_the_remedy(
    machine: Checkout, annotations: list[dict[str, str]], claim: str, taken: bool
) -> None:
    machine.answer(CLASSES, classes(*annotations))
    machine.answer(CLAIM, claim)
    done = machine.ask(ENSURE.format("kubeconfig", "kind"))
    assert (done.returncode == 0) is taken, done.stderr
    assert ("no default StorageClass" in done.stderr) is not taken
    assert machine.calls() == [CLASSES, CLAIM][: 1 if annotations == [{DEFAULT: "true"}] else 2]
