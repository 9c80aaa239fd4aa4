"""`make demo-down` on a given cluster: gone means gone."""

import json

import pytest
from own_checkout import Checkout

METERS = "smartmeters.metertwin.io"
PROFILES = "twinprofiles.metertwin.io"
NAMESPACE = "metertwin-demo"
VIEW = "kubectl config view --raw --flatten --minify -o json"
LISTED = f"kubectl get {METERS},{PROFILES} -A -o name"


def definitions(*names: str, owner: str = NAMESPACE) -> str:
    notes = {"meta.helm.sh/release-namespace": owner}
    items = [{"metadata": {"name": name, "annotations": notes}} for name in names]
    return json.dumps({"items": [*items, {"metadata": {"name": "others.example.org"}}]})


@pytest.fixture
def given(checkout: Checkout) -> Checkout:
    """A kind cluster with the demo."""
    checkout.program("kubectl", "helm", "kind")
    checkout.answer(VIEW, '{"current-context": "kind-mine"}')
    checkout.answer("kubectl get crd -o json", definitions(METERS, PROFILES))
    return checkout


def test_meters_go_before_the_operator_and_definitions_last(given: Checkout) -> None:
    done = given.run("tools/demo/down", KUBECONFIG="x")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("gone")
    changing = [one for one in given.calls() if "delete" in one or "uninstall" in one]
    assert changing == [
        f"kubectl delete {METERS} --all -n {NAMESPACE} --wait",
        f"helm uninstall metertwin -n {NAMESPACE} --ignore-not-found --wait",
        f"kubectl delete namespace {NAMESPACE} --ignore-not-found --wait",
        f"kubectl delete crd {METERS} {PROFILES}",
    ]


@pytest.mark.parametrize(
    "refused",
    [
        f"kubectl delete {METERS}",
        "helm uninstall",
        "kubectl delete namespace",
        "kubectl get crd",
        LISTED,
        "kubectl delete crd",
    ],
)
def test_a_step_that_fails_ends_the_run_and_is_named(given: Checkout, refused: str) -> None:
    given.refuse(refused)
    done = given.run("tools/demo/down", KUBECONFIG="x")
    assert done.returncode == 1
    assert "gone" not in done.stdout
    assert f"error: `{refused}" in done.stderr
    assert given.calls()[-1].startswith(refused)


def test_a_second_time_there_is_nothing_to_remove_and_that_is_no_failure(given: Checkout) -> None:
    given.answer("kubectl get crd -o json", definitions())
    given.refuse(f"kubectl delete {METERS}")
    done = given.run("tools/demo/down", KUBECONFIG="x")
    assert done.returncode == 0, done.stderr
    assert not [one for one in given.calls() if "crd" in one and "delete" in one]


@pytest.mark.parametrize("owner", [NAMESPACE, "other"])
def test_definitions_stay_while_somebody_else_uses_them(given: Checkout, owner: str) -> None:
    given.answer("kubectl get crd -o json", definitions(METERS, PROFILES, owner=owner))
    given.answer(LISTED, f"{METERS}/one\n" if owner == NAMESPACE else "")
    done = given.run("tools/demo/down", KUBECONFIG="x")
    assert done.returncode == 0, done.stderr
    assert "others use them" in done.stdout
    assert not [one for one in given.calls() if one.startswith("kubectl delete crd")]
