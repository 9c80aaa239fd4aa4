"""The plugin as a process, in front of a fake kubectl and a fake twin."""

import base64
import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from meter_pki.authority import Authority

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class World:
    """A fake cluster in a folder, and the plugin's command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kubectl = folder / "kubectl-for-tests"
        self.kubectl.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{HERE}/fake_kubectl.py" "$@"\n'
        )
        self.kubectl.chmod(0o755)

    def put(self, kind: str, name: str, document: dict) -> None:
        (self.folder / f"{kind}.{name}.json").write_text(json.dumps(document))

    def answer(self, answers: dict) -> None:
        (self.folder / "twin.json").write_text(json.dumps(answers))

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        sources = [str(ROOT / part / "src") for part in ("kubectl", "wire", "pki")]
        return subprocess.run(
            [sys.executable, "-m", "kubectl_meter", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            timeout=60,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(sources),
                "PYTHONDONTWRITEBYTECODE": "1",
                "KUBECTL": str(self.kubectl),
                "FAKE_CLUSTER": str(self.folder),
                **environment,
            },
        )

    def created(self) -> dict:
        return json.loads((self.folder / "created.json").read_text())


def smart_meter(name: str, **status) -> dict:
    return {
        "metadata": {"name": name, "namespace": "demo", "generation": 2},
        "spec": {"profile": "household"},
        "status": status,
    }


def condition(kind: str, status: str, reason: str, generation: int = 2) -> dict:
    message = f"{kind} is {status}"
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
    }


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.put(
        "smartmeters",
        "house-1",
        smart_meter(
            "house-1",
            epoch=3,
            lastSeen="2026-06-14T07:30:00Z",
            twin={"version": "0.1.0", "pod": "house-1-e3", "node": "node-a"},
            conditions=[
                condition("Ready", "True", "Serving"),
                condition("TwinReady", "True", "Serving"),
                condition("MeterConnected", "True", "Connected"),
            ],
        ),
    )
    made.put(
        "smartmeters",
        "house-2",
        smart_meter("house-2", conditions=[condition("Ready", "False", "ProfileMissing")]),
    )
    made.answer({})
    return made


@pytest.fixture
def fleet(world):
    """The world with a certificate authority and a fleet key; returns the authority."""
    authority = Authority.create(dt.datetime.now(dt.UTC))
    put_secret(world, "metertwin-ca", {"tls.crt": authority.certificate_pem, "tls.key": authority.key_pem})  # fmt: skip
    put_secret(world, "metertwin-fleet-key", {"master": bytes(range(32))})
    return authority


def put_secret(world: World, name: str, data: dict[str, bytes]) -> None:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    world.put("secret", name, {"metadata": {"name": name}, "data": encoded})


@pytest.fixture
def golden():
    """Compare with a golden file, or write it with UPDATE_GOLDEN=1."""

    def check(name: str, text: str) -> None:
        path = HERE / "golden" / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text)
        assert text == path.read_text()

    return check
