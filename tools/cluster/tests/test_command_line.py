"""Rules of the command line; nothing is started."""

import os
import subprocess
from pathlib import Path

import pytest
from local_cluster import __main__, images, settings

CLUSTER = Path(__file__).resolve().parents[1] / "cluster"
SKOPEO = """\
#!/bin/sh
echo 'time="…" level=info msg="[graphdriver] using prior storage driver: overlay"' >&2
echo 'time="…" level=fatal msg="initializing source …: reference \\"…\\" {reason}"' >&2
exit 1
"""


def cluster(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"METERTWIN_CLUSTER": "t", "METERTWIN_STATE": str(state)}
    return subprocess.run(
        [CLUSTER, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("command", ["folder", "bin", "status", "leftovers"])
def test_a_command_without_arguments_refuses_one(tmp_path: Path, command: str) -> None:
    done = cluster(tmp_path / "none", command, "extra")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"cluster: {command} takes no argument, here is: extra\n"


def test_only_load_and_net_take_arguments() -> None:
    assert set(__main__.COMMANDS) - {"load", "net", "help"} == {
        *("up", "check", "down", "status", "kubeconfig", "folder", "bin", "leftovers"),
    }
    assert set(__main__.WITH_ARGUMENTS) == {"load", "net", "help"}


def test_the_folder_is_told_whether_the_cluster_runs_or_not(tmp_path: Path) -> None:
    absent = tmp_path / "none"
    assert cluster(absent, "kubeconfig").returncode == 1
    done = cluster(absent, "folder")
    assert (done.returncode, done.stdout) == (0, f"{absent}\n")


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        pytest.param("does not resolve to an image ID", "there is no image nosuch:tag", id="none"),
        pytest.param("permission denied", "while reading the image nosuch:tag", id="another"),
    ],
)
def test_an_image_that_nobody_has_is_named_without_the_log_of_skopeo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, said: str
) -> None:
    skopeo = tmp_path / "skopeo"
    skopeo.write_text(SKOPEO.format(reason=reason))
    skopeo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(settings.ClusterError, match=said) as caught:
        images.load_image(settings.load_settings({"METERTWIN_CLUSTER": "t"}), "nosuch:tag")
    assert ("graphdriver" in str(caught.value)) is (reason == "permission denied")
