"""The only module that calls the Kubernetes API: a few verbs over aiohttp.

kopf finds the credentials (service account, else kubeconfig). Decisions are compare-and-swap by
resourceVersion; children are created once by name; what a namespace has once is applied server-side.
"""

import base64
import json
import ssl
import tempfile
from http import HTTPStatus
from typing import Any

import aiohttp
import kopf

from meter_operator.builders import MANAGER
from meter_operator.desired import Json, Key, Meter
from meter_wire.names import GROUP, VERSION

METERS = f"/apis/{GROUP}/{VERSION}"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
PATHS = {
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Event": "/api/v1/namespaces/{namespace}/events",
    "PersistentVolumeClaim": "/api/v1/namespaces/{namespace}/persistentvolumeclaims",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases",
    "SmartMeter": METERS + "/namespaces/{namespace}/smartmeters",
}


class ClusterError(Exception):
    """The API answered with an error; retried later."""

    def __init__(self, doing: str, status: int, message: str) -> None:
        """Say what was being done."""
        super().__init__(f"while {doing}: {status} {message}")
        self.status = status


class ConflictError(ClusterError):
    """Somebody else wrote first: look again before deciding."""


def find_connection() -> kopf.ConnectionInfo:
    """Return how to reach the API server.

    Raises:
        RuntimeError: neither a service account nor a kubeconfig is there.
    """
    for login in (kopf.login_with_service_account, kopf.login_with_kubeconfig):
        found = login()
        if found is not None:
            return found
    raise RuntimeError("no service account and no kubeconfig: cannot reach an API server")


def _tls(info: kopf.ConnectionInfo) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=info.ca_path)
    if info.ca_data:
        context.load_verify_locations(cadata=base64.b64decode(info.ca_data).decode())
    if info.certificate_path and info.private_key_path:
        context.load_cert_chain(info.certificate_path, info.private_key_path)
    elif info.certificate_data and info.private_key_data:
        with tempfile.NamedTemporaryFile() as file:
            file.write(base64.b64decode(info.certificate_data))
            file.write(base64.b64decode(info.private_key_data))
            file.flush()
            context.load_cert_chain(file.name)
    return context


class Cluster:
    """The API server, as this operator uses it."""

    def __init__(self, info: kopf.ConnectionInfo) -> None:
        """Open a session; tokens of a service account are read again by each new process."""
        headers = {"User-Agent": MANAGER}
        if info.token:
            headers["Authorization"] = f"Bearer {info.token}"
        connector = aiohttp.TCPConnector(ssl=_tls(info), limit=32)
        self._session = aiohttp.ClientSession(
            info.server, connector=connector, headers=headers, timeout=aiohttp.ClientTimeout(30)
        )
        self.writes = 0

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()

    async def _call(
        self, method: str, path: str, doing: str, body: Json | None = None, kind: str = ""
    ) -> Json:
        headers = {"Content-Type": kind or "application/json"}
        data = None if body is None else json.dumps(body)
        if method != "GET" and not path.endswith("/events") and "/leases" not in path:
            self.writes += 1
        async with self._session.request(method, path, data=data, headers=headers) as answer:
            text = await answer.text()
            if answer.status == HTTPStatus.CONFLICT:
                raise ConflictError(doing, answer.status, _message(text))
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise ClusterError(doing, answer.status, _message(text))
            found: Json = json.loads(text) if text else {}
            return found

    async def find(self, kind: str, namespace: str, name: str) -> Json | None:
        """Return an object, or None when there is none."""
        path = PATHS[kind].format(namespace=namespace) + f"/{name}"
        try:
            return await self._call("GET", path, f"reading {kind} {namespace}/{name}")
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def create(self, manifest: Json) -> bool:
        """Create an object; False when one of its name exists."""
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        doing = f"creating {manifest['kind']} {namespace}/{name}"
        try:
            await self._call("POST", PATHS[manifest["kind"]].format(namespace=namespace), doing, manifest)
        except ConflictError:
            return False
        return True

    async def ensure(self, manifest: Json) -> None:
        """Apply an object server-side."""
        kind, metadata = manifest["kind"], manifest["metadata"]
        path = PATHS[kind].format(namespace=metadata["namespace"]) + f"/{metadata['name']}"
        doing = f"applying {kind} {metadata['namespace']}/{metadata['name']}"
        await self._call("PATCH", f"{path}?fieldManager={MANAGER}&force=true", doing, manifest, APPLY)

    async def replace(self, manifest: Json) -> Json:
        """Replace an object of the version that was read.

        Raises:
            ConflictError: it was changed since.
        """
        kind, metadata = manifest["kind"], manifest["metadata"]
        path = PATHS[kind].format(namespace=metadata["namespace"]) + f"/{metadata['name']}"
        return await self._call("PUT", path, f"replacing {kind} {metadata['name']}", manifest)

    async def merge(self, kind: str, namespace: str, name: str, body: Json) -> Json:
        """Merge a patch into an object."""
        path = PATHS[kind].format(namespace=namespace) + f"/{name}"
        return await self._call("PATCH", path, f"patching {kind} {namespace}/{name}", body, MERGE)

    async def remove(self, kind: str, namespace: str, name: str, uid: str = "") -> None:
        """Delete an object (of this uid, when given); one that is gone already is fine."""
        path = PATHS[kind].format(namespace=namespace) + f"/{name}"
        body: Json = {"preconditions": {"uid": uid}} if uid else {}
        try:
            await self._call("DELETE", path, f"deleting {kind} {namespace}/{name}", body)
        except ClusterError as error:
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                raise

    async def write_status(self, meter: Meter, status: Json, *, decision: bool) -> Json:
        """Write fields of a meter's status; a decision only onto the version it was made from.

        Raises:
            ConflictError: it is a decision, and the meter was changed since.
        """
        body: Json = {"status": status}
        if decision:
            body["metadata"] = {"resourceVersion": meter.resource_version}
        key = meter.key
        path = PATHS["SmartMeter"].format(namespace=key.namespace) + f"/{key.name}/status"
        doing = f"writing status of {key.namespace}/{key.name}"
        return await self._call("PATCH", path, doing, body, MERGE)

    async def find_meter(self, key: Key) -> Json | None:
        """Return a SmartMeter, or None when it is gone."""
        return await self.find("SmartMeter", key.namespace, key.name)

    async def read_secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """Return the data of one Secret, or None."""
        found: Any = await self.find("Secret", namespace, name)
        if found is None:
            return None
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}


def _message(text: str) -> str:
    try:
        return str(json.loads(text).get("message", ""))[:500]
    except ValueError:
        return text[:200]
