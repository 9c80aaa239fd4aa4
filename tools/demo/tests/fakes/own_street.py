"""A street in a checkout of a test: the fake cluster beside it, the real plugin."""

import datetime as dt
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from meter_pki.authority import Authority
from own_checkout import Checkout
from street_cluster import encoded

ROOT = Path(__file__).resolve().parents[4]
CLUSTER = Path(__file__).with_name("street_cluster.py")


class OwnStreet:
    """The fake cluster of a checkout; `begin` sets what is there."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.place = checkout.root / "state.json"
        (checkout.root / "examples").mkdir()
        for name in ("street-electricity.json", "street-tariffs.json", "street-boards.json"):
            shutil.copy(ROOT / "examples" / name, checkout.root / "examples")
        self._program("fakes/kubectl", f'"{CLUSTER}" "{self.place}"')
        self._program(".venv/bin/kubectl-meter", "-m kubectl_meter")

    def _program(self, name: str, what: str) -> None:
        path = self.checkout.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {what} "$@"\n')
        path.chmod(0o755)

    def begin(
        self, authority: Authority, secrets: dict[str, dict[str, bytes]], pods: dict[str, str]
    ) -> None:
        """Set the cluster's state: Secrets beside those of the PKI, and pod → since when it runs."""
        ca = {"tls.crt": authority.certificate_pem, "tls.key": authority.key_pem}
        own = {"metertwin-ca": ca, "metertwin-fleet-key": {"master": bytes(32)}}
        state = {
            "secrets": {name: encoded(data) for name, data in (own | secrets).items()},
            "pods": pods,
            "now": f"{dt.datetime.now(dt.UTC) + dt.timedelta(seconds=9):%FT%TZ}",
            "restarted": [],
        }
        self.place.write_text(json.dumps(state))

    def state(self) -> dict[str, Any]:
        """Return the cluster's state."""
        found: dict[str, Any] = json.loads(self.place.read_text())
        return found
