"""Read and write a few Secrets from inside the cluster with nothing but the standard library.

Used by `init` alone: a Job that runs for a second needs no Kubernetes client.
"""

import base64
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NOT_FOUND = 404
CONFLICT = 409


class ClusterSecrets:
    """Secrets and ConfigMaps of one namespace, through the pod's service account."""

    def __init__(self, namespace: str, server: str = "https://kubernetes.default.svc") -> None:
        """Use the mounted account's token and trust."""
        self._base = f"{server}/api/v1/namespaces/{namespace}"
        self._token = (ACCOUNT / "token").read_text()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.load_verify_locations(ACCOUNT / "ca.crt")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the scheme is https
            self._base + path, data=data, headers=headers, method=method
        )
        with urllib.request.urlopen(request, context=self._tls, timeout=30) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
            return found

    def find_secret(self, name: str) -> dict[str, bytes] | None:
        """Return the data of a Secret, or None when there is none."""
        try:
            data = self._call("GET", f"/secrets/{name}").get("data") or {}
        except urllib.error.HTTPError as error:
            if error.code == NOT_FOUND:
                return None
            raise
        return {key: base64.b64decode(value) for key, value in data.items()}

    def create_secret(self, name: str, kind: str, data: dict[str, bytes]) -> bool:
        """Create a Secret; False when somebody else was first."""
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        body = {"metadata": {"name": name, "labels": _LABELS}, "type": kind, "data": encoded}
        return self._create("/secrets", body)

    def replace_secret(self, name: str, data: dict[str, bytes]) -> None:
        """Replace the data of a Secret that exists."""
        current = self._call("GET", f"/secrets/{name}")
        current["data"] = {key: base64.b64encode(value).decode() for key, value in data.items()}
        self._call("PUT", f"/secrets/{name}", current)

    def ensure_config_map(self, name: str, data: dict[str, str]) -> None:
        """Create a ConfigMap, or replace its data when they differ."""
        body = {"metadata": {"name": name, "labels": _LABELS}, "data": data}
        if self._create("/configmaps", body):
            return
        current = self._call("GET", f"/configmaps/{name}")
        if current.get("data") != data:
            current["data"] = data
            self._call("PUT", f"/configmaps/{name}", current)

    def _create(self, path: str, body: dict[str, Any]) -> bool:
        try:
            self._call("POST", path, body)
        except urllib.error.HTTPError as error:
            if error.code == CONFLICT:
                return False
            raise
        return True


_LABELS = {"app.kubernetes.io/part-of": "metertwin", "app.kubernetes.io/managed-by": "metertwin"}
