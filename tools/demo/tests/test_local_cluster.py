"""Our own cluster is never taken for a foreign one, whether it runs or not."""

import pytest
from own_checkout import Checkout


def test_without_a_cluster_there_is_no_kubeconfig_and_it_is_said(checkout: Checkout) -> None:
    done = checkout.run("make", "-s", "kubeconfig")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no local cluster: run `make demo`" in done.stderr


def test_the_kubeconfig_of_the_local_cluster_is_its_path(checkout: Checkout) -> None:
    path = checkout.root / "state/kubeconfig"
    path.parent.mkdir()
    path.touch()
    done = checkout.run("make", "-s", "kubeconfig")
    assert (done.returncode, done.stdout) == (0, f"{path}\n")


@pytest.mark.parametrize(
    ("settings", "chosen"),
    [
        pytest.param({}, "local", id="nothing is named"),
        pytest.param({"KUBECONFIG": "{root}/state/kubeconfig"}, "local", id="our path"),
        pytest.param({"KUBECONFIG": "{root}/else"}, "given", id="another path"),
        pytest.param({"CONTEXT": "kind-x"}, "given", id="a context"),
    ],
)
def test_the_path_of_a_local_cluster_that_is_gone_is_still_ours(
    checkout: Checkout, settings: dict[str, str], chosen: str
) -> None:
    named = {key: value.format(root=checkout.root) for key, value in settings.items()}
    done = checkout.run("tools/demo/chosen", **named)
    assert (done.returncode, done.stdout) == (0, f"{chosen}\n"), done.stderr


@pytest.mark.parametrize(
    ("kubeconfig", "said"),
    [
        pytest.param("{root}/state/kubeconfig", "smoked\n", id="our own cluster"),
        pytest.param("{root}/else", "==> no smoke run: a cluster is given\n", id="a given one"),
    ],
)
def test_the_smoke_run_is_left_out_only_for_a_given_cluster(
    checkout: Checkout, kubeconfig: str, said: str
) -> None:
    (checkout.root / "tools/cluster/smoke").write_text("#!/bin/sh\necho smoked\n")
    done = checkout.run("make", "-s", "smoke", KUBECONFIG=kubeconfig.format(root=checkout.root))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(said)


def test_settings_that_cannot_be_used_are_said_and_choose_no_cluster(checkout: Checkout) -> None:
    done = checkout.run("tools/demo/chosen", KUBECONFIG="x", METERTWIN_CLUSTER="A_B")
    assert (done.returncode, done.stdout) == (1, "")
    assert "METERTWIN_CLUSTER=A_B" in done.stderr
