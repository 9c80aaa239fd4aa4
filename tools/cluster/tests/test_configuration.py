"""Rules of the rendered configuration: pure functions, no machine is touched."""

import json
import tomllib
from pathlib import Path

import pytest
from local_cluster import arguments, binaries, configuration, manifests, network, settings

HERE = settings.load_settings({"METERTWIN_CLUSTER": "t", "METERTWIN_CACHE": "/c"})


def test_each_node_has_its_own_cgroup_root_range_and_address() -> None:
    one, two = HERE.nodes
    for attribute in ("name", "cgroup", "pod_range", "address", "folder", "containerd_socket"):
        assert getattr(one, attribute) != getattr(two, attribute)


def test_the_socket_folder_of_the_shims_is_short_enough_for_containerd() -> None:
    longest = settings.load_settings({"METERTWIN_CLUSTER": "t" * 12})
    config = configuration.containerd_config(longest.nodes[0], Path("/c/bin"))
    folder = tomllib.loads(config)["plugins"]["io.containerd.shim.v1.manager"]["socket_dir"]
    assert len(folder) <= 42


def test_the_kubelet_accepts_this_machine_and_many_pods() -> None:
    config = configuration.kubelet_config(HERE.nodes[1], HERE)
    assert config["failCgroupV1"] is False
    assert config["failSwapOn"] is False
    assert config["enforceNodeAllocatable"] == []
    assert config["maxPods"] == 500
    assert config["authentication"]["anonymous"]["enabled"] is False


def test_pods_are_not_masqueraded() -> None:
    assert configuration.cni_config(HERE.nodes[0])["plugins"][0]["ipMasq"] is False


def test_the_cluster_network_has_no_default_route() -> None:
    assert "default" not in network.network_commands(HERE)


def test_nodes_and_roles_are_authorised() -> None:
    assert "--authorization-mode=Node,RBAC" in arguments.apiserver(HERE).arguments
    assert "--anonymous-auth=false" in arguments.apiserver(HERE).arguments


def test_the_store_has_an_authority_of_its_own() -> None:
    etcd = dict(flag.split("=", 1) for flag in arguments.etcd(HERE).arguments)
    api = dict(flag.split("=", 1) for flag in arguments.apiserver(HERE).arguments)
    assert etcd["--trusted-ca-file"] != api["--client-ca-file"]
    assert etcd["--client-cert-auth"] == "true"


def test_every_applied_item_is_json_and_named_as_its_path() -> None:
    for path, item in manifests.system_items(HERE):
        assert json.loads(json.dumps(item)) == item
        assert path.endswith(item["metadata"]["name"])


@pytest.mark.parametrize("name", ["UPPER", "thirteen-chars", "a b", "../x"])
def test_a_bad_cluster_name_is_refused(name: str) -> None:
    with pytest.raises(settings.ClusterError, match="METERTWIN_CLUSTER"):
        settings.load_settings({"METERTWIN_CLUSTER": name})


@pytest.mark.parametrize("port", ["0", "65536", "x", ""])
def test_a_bad_port_is_refused(port: str) -> None:
    with pytest.raises(settings.ClusterError, match="METERTWIN_API_PORT"):
        settings.load_settings({"METERTWIN_API_PORT": port})


def _go_mod(name: str) -> str:
    return (settings.SOURCE / "go" / name / "go.mod").read_text()


def test_every_staging_module_is_replaced_by_the_same_release() -> None:
    release = settings.KUBERNETES_VERSION.replace("v1", "v0", 1)
    lines = [line.split() for line in _go_mod("kubernetes").splitlines() if "=>" in line]
    assert len(lines) >= 33
    for module, _, target, version in lines:
        assert (module, version) == (target, release)


def test_the_versions_in_the_settings_are_those_of_the_modules() -> None:
    assert f"k8s.io/kubernetes {settings.KUBERNETES_VERSION}" in _go_mod("kubernetes")
    assert f"github.com/coredns/coredns v{settings.COREDNS_VERSION}" in _go_mod("coredns")


@pytest.mark.parametrize("module", binaries.MODULES, ids=[m.name for m in binaries.MODULES])
def test_every_program_is_a_tool_of_its_module(module: binaries.Module) -> None:
    if module.name not in {"local", "coredns"}:  # these are our own, of what their folder has
        for _, package in module.programs:
            assert package in _go_mod(module.name)


def test_another_build_flag_gives_another_cache_folder() -> None:
    module = binaries.MODULES[0]
    other = binaries.Module(module.name, module.programs, tags="other")
    assert binaries.hash_of(module) != binaries.hash_of(other)
