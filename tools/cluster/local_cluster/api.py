"""A very small client of the cluster's API, for what `up` and `status` need."""

import http.client
import json
import ssl
from typing import Any

from .settings import ClusterError, Settings


class Api:
    """Requests as the administrator through the door on 127.0.0.1."""

    def __init__(self, settings: Settings) -> None:
        """Read the administrator's certificate."""
        pki = settings.pki
        self._port = settings.api_port
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def request(
        self, method: str, path: str, body: Any = None, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        """Send one request; status code and body.

        Raises:
            OSError: nobody answers.
        """
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=10, context=self._context
        )
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def get(self, path: str) -> dict[str, Any]:
        """The object at `path`.

        Raises:
            ClusterError: the server refuses.
            OSError: nobody answers.
        """
        status, body = self.request("GET", path)
        if status != http.client.OK:
            raise ClusterError(f"while reading {path}: {status} {body[:200].decode()}")
        value: dict[str, Any] = json.loads(body)
        return value

    def is_ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self.request("GET", "/readyz")[0] == http.client.OK
        except OSError:
            return False

    def apply(self, path: str, item: dict[str, Any]) -> None:
        """Server-side apply.

        Raises:
            ClusterError: the server refuses.
        """
        status, body = self.request(
            "PATCH",
            f"{path}?fieldManager=metertwin-cluster&force=true",
            item,
            "application/apply-patch+yaml",
        )
        if status not in (http.client.OK, http.client.CREATED):
            raise ClusterError(f"while applying {path}: {status} {body[:300].decode()}")


def is_true(item: dict[str, Any], condition: str) -> bool:
    """Whether a condition of the item's status is True."""
    conditions = item.get("status", {}).get("conditions", [])
    return any(entry["type"] == condition and entry["status"] == "True" for entry in conditions)
