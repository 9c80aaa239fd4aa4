"""Rules of what is read from the machine and removed from it."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from local_cluster import (
    archive,
    cgroups,
    images,
    leftovers,
    preconditions,
    processes,
    settings,
    teardown,
)

HERE = settings.load_settings({"METERTWIN_CLUSTER": "t", "METERTWIN_CACHE": "/c"})
GOOD = preconditions.Machine(
    platform="linux", processor="x86_64", user_id=0, cgroup="v1", memory_mb=9_999, disk_mb=99_999, go=(1, 26),
    to_build=9, apt=True, packages_missing=("runc",), port_free=True, api_port=16443,
)  # fmt: skip
CASES = [
    (GOOD, None),
    (replace(GOOD, platform="darwin"), "Linux"),
    (replace(GOOD, processor="aarch64"), "x86-64"),
    (replace(GOOD, user_id=1000), "root"),
    (replace(GOOD, cgroup="none"), "cgroups"),
    (replace(GOOD, memory_mb=2_999), "memory"),
    (replace(GOOD, memory_mb=3_000), None),
    (replace(GOOD, disk_mb=11_999), "disk"),
    (replace(GOOD, disk_mb=11_999, to_build=0), None),
    (replace(GOOD, go=None), "Go 1.26"),
    (replace(GOOD, go=(1, 25)), "needs Go 1.26 or newer, PATH has Go 1.25"),
    (replace(GOOD, go=None, to_build=0), None),
    (replace(GOOD, apt=False), "runc"),
    (replace(GOOD, apt=False, packages_missing=()), None),
    (replace(GOOD, port_free=False), "METERTWIN_API_PORT"),
]


@pytest.mark.parametrize(("machine", "lack"), CASES)
def test_each_lack_is_named_in_one_line(machine: preconditions.Machine, lack: str | None) -> None:
    found = preconditions.find_lacks(machine)
    assert [(lack or "-") in line for line in found] == ([True] if lack else [])
    assert not any("\n" in line for line in found)


def test_both_cgroup_versions_are_recognised(tmp_path: Path) -> None:
    assert cgroups.cgroup_version(tmp_path) == "none"
    for name in cgroups.NEEDED:
        (tmp_path / name).mkdir()
    assert cgroups.cgroup_version(tmp_path) == "v1"
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids")
    assert cgroups.cgroup_version(tmp_path) == "v2"
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io")
    assert cgroups.cgroup_version(tmp_path) == "none"


def test_our_groups_are_found_deepest_first(tmp_path: Path) -> None:
    for name in cgroups.NEEDED:
        (tmp_path / name / "t/node1/pod").mkdir(parents=True)
        (tmp_path / name / "other").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in cgroups.our_groups(HERE, tmp_path)]
    assert len(found) == 3 * len(cgroups.NEEDED)
    assert found[0].endswith("/t/node1/pod")
    assert found[-1].endswith("/t")


def test_the_pods_of_a_node_weigh_as_much_as_its_cores_and_all_daemons_as_one() -> None:
    assert cgroups.weights(HERE, 2) == {"t": 5, "t/node1": 2, "t/node2": 2, "t/system": 1}


def test_a_start_time_is_read_past_a_strange_program_name() -> None:
    fields = " ".join(["S", *map(str, range(4, 22)), "777", "23"])
    assert processes.parse_stat(f"12 (a) b (c)) {fields}") == ("S", 777)


PROCESSES = [
    ("a container, by its group", "/bin/sh", "sh", "4:memory:/t/node1/pod1/x", True),
    ("a shim", "/c/bin/containerd-1/containerd-shim-runc-v2", f"-address {HERE.state}/node1/a",
     "0::/", True),
    ("a person's kubectl", "/c/bin/kubernetes-1/kubectl", f"--kubeconfig={HERE.state}/kubeconfig",
     "0::/", False),
    ("a daemon of another cluster", "/c/bin/kubernetes-1/kubelet", "--config=/var/lib/u/x",
     "0::/u/node1", False),
    ("an editor", "/usr/bin/vi", f"{HERE.state}/kubelet.yaml", "0::/", False),
    ("a group with a similar name", "/bin/sh", "sh", "4:memory:/tt/node1", False),
]  # fmt: skip


@pytest.mark.parametrize("row", PROCESSES, ids=[row[0] for row in PROCESSES])
def test_only_our_processes_are_ours(row: tuple[str, str, str, str, bool]) -> None:
    _, program, command, groups, ours = row
    assert leftovers.process_belongs(HERE, program, command, groups) is ours


def test_mounts_are_taken_off_in_reverse_and_only_ours() -> None:
    base = HERE.state
    rows = [f"{base}/net", f"{base}/node1/a", f"{base}-other/x", "/proc", f"{base}/node1/a/b"]
    text = "\n".join(f"1 2 0:4 / {point} rw - x x rw" for point in rows)
    assert teardown.mounts_below(base, text) == [
        f"{base}/node1/a/b",
        f"{base}/node1/a",
        f"{base}/net",
    ]


def test_what_restarts_others_ends_first() -> None:
    names = ["containerd-1", "etcd", "kube-apiserver", "kubelet-2", "loopback"]
    assert teardown.in_order(names)[0] == "kubelet-2"
    assert teardown.in_order(names)[-1] == "containerd-1"


def test_an_archive_is_the_same_for_the_same_content_and_names_its_image(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    first = archive.program_archive("localhost/x:1", program)
    program.touch()
    assert archive.program_archive("localhost/x:1", program) == first
    path = tmp_path / "image.tar"
    path.write_bytes(first)
    assert images.named_images(path)["localhost/x:1"].startswith("sha256:")
    with tarfile.open(fileobj=io.BytesIO(first)) as opened:
        index = opened.extractfile("index.json")
        assert index is not None
        assert b"localhost/x:1" in index.read()


LISTING = """\
REF           TYPE                                       DIGEST   SIZE      PLATFORMS   LABELS
localhost/x:1 application/vnd.oci.image.manifest.v1+json sha256:a 625.4 KiB linux/amd64 a=b
localhost/y:1 application/vnd.oci.image.manifest.v1+json sha256:b 13.6 MiB  linux/amd64 a=b
"""
HELD = [
    ("the same image", {"localhost/x:1": "sha256:a"}, True),
    ("the same content under a new tag", {"localhost/x:2": "sha256:a"}, False),
    ("other content under the same tag", {"localhost/x:1": "sha256:b"}, False),
    ("one of two is missing", {"localhost/x:1": "sha256:a", "localhost/z:1": "sha256:c"}, False),
    ("an archive that nobody can read", {}, False),
]


@pytest.mark.parametrize("row", HELD, ids=[row[0] for row in HELD])
def test_a_node_holds_an_image_only_under_its_very_name(
    row: tuple[str, dict[str, str], bool],
) -> None:
    _, wanted, held = row
    assert images.are_held(wanted, images.parse_listing(LISTING)) is held


def test_a_file_that_is_no_archive_names_no_image(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(b"no tar")
    assert images.named_images(path) == {}
