"""What is missing is named before anything is installed or built."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from own_checkout import Checkout

ROOT = Path(__file__).resolve().parents[3]

FIND = "import json, pathlib, preconditions as p; print(json.dumps(p.find_lacks({}, {{pathlib.Path('/x'): {}}}, is_root={}, missing={})))"


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        pytest.param({}, [], id="enough"),
        pytest.param({"free": 2_999}, ["3000 MB of free disk at /x, there are 2999"], id="disk"),
        pytest.param({"processor": "aarch64"}, ["this is aarch64"], id="another processor"),
        pytest.param({"root": False}, ["built as root"], id="no root"),
        pytest.param(
            {"missing": ["buildah", "skopeo"]}, ["buildah and skopeo; install"], id="tools"
        ),
        pytest.param(
            {"processor": "arm", "free": 0, "root": False, "missing": ["x"]},
            ["this is arm", "there are 0", "built as root", "need x;"],
            id="everything",
        ),
    ],
)
def test_each_lack_of_the_images_is_named(
    checkout: Checkout, machine: dict[str, Any], said: list[str]
) -> None:
    found = {"processor": "x86_64", "free": 3_000, "root": True, "missing": []} | machine
    done = checkout.ask(FIND.format(*map(repr, found.values())))
    lacks = json.loads(done.stdout)
    assert len(lacks) == len(said), done.stderr
    assert all(text in one for one, text in zip(lacks, said, strict=True))


def test_the_disks_of_the_checkout_and_of_the_cache_are_looked_at(checkout: Checkout) -> None:
    code = "import preconditions as p; print(p.cache()); print(p.free_mb(p.cache()) > 0)"
    done = checkout.ask(code, METERTWIN_CACHE="/dev/shm/is/not/there")
    assert done.stdout == "/dev/shm/is/not/there\nTrue\n", done.stderr


def test_what_a_local_cluster_lacks_is_named_with_the_way_around_it(checkout: Checkout) -> None:
    (checkout.root / "tools/cluster/cluster").write_text(
        '#!/bin/sh\n[ "$1" = folder ] && echo /nowhere && exit\n'
        'echo "cluster: this machine needs root" >&2\nexit 1\n'
    )
    done = checkout.run("tools/demo/check")
    assert done.returncode == 1
    assert "for a local cluster, this machine needs root; or give KUBECONFIG" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_given_cluster_that_cannot_be_used_is_named_before_anything_is_installed(
    checkout: Checkout,
) -> None:
    checkout.program("kubectl", "helm", "kind")
    checkout.refuse("kubectl")
    done = checkout.run("tools/demo/check", CONTEXT="kind-x")
    assert done.returncode == 1
    assert "kind-x" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("program", "said"),
    [
        pytest.param(None, "there is none", id="missing"),
        pytest.param("echo 3.10; exit 1", "there is 3.10", id="too old"),
        pytest.param("exit 127", "there is one that does not start", id="broken"),
    ],
)
def test_a_python_that_cannot_run_the_demo_is_named_in_one_line(
    checkout: Checkout, program: str | None, said: str
) -> None:
    for name in ("sh", "dirname", "env"):
        (checkout.root / "fakes" / name).symlink_to(str(shutil.which(name)))
    if program:
        python = checkout.root / "fakes/python3"
        python.write_text(f"#!/bin/sh\n{program}\n")
        python.chmod(0o755)
    done = checkout.run("tools/demo/check", PATH=f"{checkout.root}/fakes")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: this needs Python 3.11 or newer")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_python_that_is_asked_for_is_the_one_that_the_workspace_takes() -> None:
    wanted = re.search(r'requires-python = ">=3.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert wanted
    script = (ROOT / "tools/demo/check").read_text()
    assert f"Python 3.{wanted[1]} or newer" in script
    assert f"sys.version_info < (3, {wanted[1]})" in script


def test_preconditions_come_before_any_installation(checkout: Checkout) -> None:
    """`make -n` shows what would be done, in its order, from an empty cache."""
    done = checkout.run("make", "-n", "demo")
    assert done.returncode == 0, done.stderr
    order = [done.stdout.index(one) for one in ("tools/demo/check", "-m venv", "tools/demo/up")]
    assert order == sorted(order)
    assert "sync" not in done.stdout[: order[0]]


def test_a_python_without_venv_is_said_to_somebody_who_cannot_install(checkout: Checkout) -> None:
    checkout.program("python3", "id", "apt-get")
    checkout.refuse("python3")
    checkout.answer("id -u", "1000\n")
    done = checkout.run("make", "-s", "setup")
    assert done.returncode == 2
    assert "install python3-venv" in done.stderr
    assert not [call for call in checkout.calls() if call.startswith("apt-get")]
