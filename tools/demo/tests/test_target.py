"""Which cluster `make demo` goes to: rules tried with the real kubectl on the running cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DEMO = Path(__file__).resolve().parents[1]
ASK = "import json, target; print(json.dumps(target.given_target()))"
pytestmark = pytest.mark.cluster


def ask(**environment: str) -> subprocess.CompletedProcess[str]:
    """Ask which cluster would be used."""
    return subprocess.run(
        [sys.executable, "-c", ASK],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(DEMO), "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )


@pytest.fixture
def two_contexts(tmp_path: Path) -> str:
    """Write a kubeconfig whose current context leads nowhere and whose other one is real."""
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    real = config["contexts"][0]["context"]
    nowhere = {"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}
    config["clusters"].append(nowhere)
    config["contexts"] = [
        {"name": "kind-real", "context": real},
        {"name": "other-real", "context": real},
        {"name": "nowhere", "context": {"cluster": "nowhere", "user": real["user"]}},
    ]
    config["current-context"] = "nowhere"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_context_chooses_the_cluster_and_no_later_command_can_go_to_another(
    two_contexts: str,
) -> None:
    done = ask(KUBECONFIG=two_contexts, CONTEXT="other-real", REGISTRY="registry.example/me")
    assert done.returncode == 0, done.stderr
    kubeconfig, loader, name = json.loads(done.stdout)
    assert (loader, name) == ("registry", "other-real")
    copy = yaml.safe_load(Path(kubeconfig).read_text())
    assert [one["name"] for one in copy["contexts"]] == ["other-real"]
    assert Path(kubeconfig).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({"CONTEXT": "absent"}, "absent", id="a context that is not there is named"),
        pytest.param({"CONTEXT": "other-real"}, "REGISTRY", id="a cluster that pulls needs one"),
        pytest.param({"CONTEXT": "nowhere", "REGISTRY": "x/y"}, "does not answer", id="silent"),
        pytest.param({"CONTEXT": "kind-real", "PATH": "/usr/bin:/bin"}, "kind", id="kind's tool"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_refused_in_one_line(
    two_contexts: str, settings: dict[str, str], said: str
) -> None:
    done = ask(KUBECONFIG=two_contexts, **{"REGISTRY": "", **settings})
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
