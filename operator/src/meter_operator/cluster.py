"""The only module that calls the Kubernetes API: a few verbs over aiohttp.

kopf finds the credentials (service account, else kubeconfig). Decisions are compare-and-swap by
resourceVersion; children are created once by name; what a namespace has once is applied
server-side.
"""

import base64
import json
import time
from http import HTTPStatus
from typing import Any

import aiohttp
import kopf
from meter_wire.names import GROUP, VERSION

from meter_operator.builders import MANAGER
from meter_operator.desired import Json, Key, Meter

METERS = f"/apis/{GROUP}/{VERSION}"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
CREDENTIALS_S = 60
PAGE = 500
PATHS = {
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "Event": "/api/v1/namespaces/{namespace}/events",
    "PersistentVolumeClaim": "/api/v1/namespaces/{namespace}/persistentvolumeclaims",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
    "Node": "/api/v1/nodes",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases",
    "Utility": METERS + "/namespaces/{namespace}/utilities",
    "TwinProfile": METERS + "/namespaces/{namespace}/twinprofiles",
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
    settings = kopf.OperatorSettings()
    for login in (kopf.login_with_service_account, kopf.login_with_kubeconfig):
        found = login(settings=settings)
        if found is not None:
            return found
    raise RuntimeError("no service account and no kubeconfig: cannot reach an API server")


class Cluster:
    """The API server, as this operator uses it."""

    def __init__(self, info: kopf.ConnectionInfo) -> None:
        """Open a session."""
        connector = aiohttp.TCPConnector(ssl=info.as_ssl_context(), limit=32)
        self._session = aiohttp.ClientSession(
            info.server,
            connector=connector,
            headers={"User-Agent": MANAGER},
            timeout=aiohttp.ClientTimeout(30),
        )
        self._credentials = info.as_http_headers()
        self._credentials_read = time.monotonic()
        self.writes = 0

    def _authorization(self) -> dict[str, str]:
        """Return the header; a service account's token is replaced on disk while we run."""
        if time.monotonic() - self._credentials_read > CREDENTIALS_S:
            self._credentials = find_connection().as_http_headers()
            self._credentials_read = time.monotonic()
        return self._credentials

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()

    async def _call(
        self, method: str, path: str, doing: str, body: Json | None = None, kind: str = ""
    ) -> Json:
        headers = {"Content-Type": kind or "application/json", **self._authorization()}
        data = None if body is None else json.dumps(body)
        if method != "GET" and not path.endswith("/events") and "/leases" not in path:
            self.writes += 1
        try:
            async with self._session.request(method, path, data=data, headers=headers) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterError(doing, 0, f"{type(error).__name__} {error}") from error
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

    async def list_all(
        self, kind: str, namespace: str, selector: str = "", *, fields: str = ""
    ) -> tuple[list[Json], int]:
        """Return all objects of a kind, read in pages, and the version of the list."""
        base = PATHS[kind].format(namespace=namespace)
        query, found, version = f"?limit={PAGE}&labelSelector={selector}", [], 0
        query += f"&fieldSelector={fields}" if fields else ""
        token = ""
        while True:
            page = f"&continue={token}" if token else ""
            answer = await self._call("GET", f"{base}{query}{page}", f"listing {kind} {namespace}")
            found += answer["items"]
            version = version or int(answer["metadata"].get("resourceVersion") or 0)
            token = answer["metadata"].get("continue", "")
            if not token:
                return found, version

    async def create(self, manifest: Json) -> Json | None:
        """Create an object and return it; None when one of its name exists."""
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        doing = f"creating {manifest['kind']} {namespace}/{name}"
        try:
            path = PATHS[manifest["kind"]].format(namespace=namespace)
            return await self._call("POST", path, doing, manifest)
        except ConflictError:
            return None

    async def ensure(self, manifest: Json) -> Json:
        """Apply an object server-side and return it.

        Raises:
            ConflictError: the manifest names a version, and the object was changed since.
        """
        kind, metadata = manifest["kind"], manifest["metadata"]
        path = PATHS[kind].format(namespace=metadata["namespace"]) + f"/{metadata['name']}"
        doing = f"applying {kind} {metadata['namespace']}/{metadata['name']}"
        return await self._call(
            "PATCH", f"{path}?fieldManager={MANAGER}&force=true", doing, manifest, APPLY
        )

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

    async def report_status(self, kind: str, key: Key, status: Json) -> Json:
        """Write fields of a status by which nothing is decided, so the last writer wins."""
        path = PATHS[kind].format(namespace=key.namespace) + f"/{key.name}/status"
        doing = f"writing status of {kind} {key.namespace}/{key.name}"
        return await self._call("PATCH", path, doing, {"status": status}, MERGE)

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
