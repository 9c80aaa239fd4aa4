"""An API server in memory for tests: versions, conflicts, owner references, faults on demand.

It replaces only the transport of `cluster.Cluster`, so the real verbs, conflict rules and counters
run. `fault` is asked before and after each write: an error before means that nothing was done, one
after means that it was done and the answer was lost.
"""

import re
from collections.abc import Callable
from typing import Any

from meter_operator.cluster import APPLY, MERGE, Cluster, ClusterError, ConflictError
from meter_operator.desired import Json

Fault = Callable[[str, str, str], None]
Row = tuple[str, str, str]  # kind in plural, namespace, name
_PATH = re.compile(r"^/apis?/(.+)/namespaces/(?P<ns>[^/]+)/(?P<kind>[^/?]+)(?P<rest>[^?]*)")
NOT_FOUND, UNPROCESSABLE = 404, 422
DELETED_AT = "2026-01-02T00:00:00Z"


class MemoryCluster(Cluster):
    """Behaves like the API server, without one."""

    def __init__(self) -> None:
        """Begin empty and without faults."""
        self.objects: dict[Row, Json] = {}
        self.log: list[str] = []
        self.fault: Fault = lambda _when, _method, _path: None
        self.writes = 0
        self._version = 0

    async def close(self) -> None:
        """Nothing is open."""

    async def _call(
        self, method: str, path: str, doing: str, body: Json | None = None, kind: str = ""
    ) -> Json:
        if path.startswith("/api/v1/nodes?"):
            return self._read(("nodes", "", ""), doing)
        found = _PATH.match(path)
        if found is None:
            raise ClusterError(doing, NOT_FOUND, path)
        name, _, subresource = found["rest"].lstrip("/").partition("/")
        row = (found["kind"], found["ns"], name)
        if method == "GET":
            return self._read(row, doing)
        self.fault("before", method, path)
        answer = self._write(method, row, doing, copy_json(body or {}), (kind, subresource))
        if row[0] not in {"events", "leases"}:
            self.writes += 1
            self.log.append(f"{method} {row[0]}/{answer['metadata']['name']}")
        self.fault("after", method, path)
        told: Json = copy_json(answer)
        return told

    def _read(self, row: Row, doing: str) -> Json:
        if row[2]:
            found: Json = copy_json(self._existing(row, doing))
            return found
        items = [copy_json(v) for k, v in self.objects.items() if k[:2] == row[:2]]
        return {"items": items, "metadata": {"resourceVersion": str(self._version)}}

    def _existing(self, row: Row, doing: str) -> Json:
        if row not in self.objects:
            raise ClusterError(doing, NOT_FOUND, "not found")
        return self.objects[row]

    def _write(self, method: str, row: Row, doing: str, body: Json, how: tuple[str, str]) -> Json:
        self._version += 1
        if method == "POST":
            row = (row[0], row[1], body["metadata"]["name"])
            if row in self.objects:
                raise ConflictError(doing, 409, "already exists")
            return self._store(row, body)
        if method == "DELETE":
            current = self._existing(row, doing)
            uid = (body.get("preconditions") or {}).get("uid")
            if uid and uid != current["metadata"]["uid"]:
                raise ConflictError(doing, 409, "another uid")
            return self._delete(row, current)
        if row not in self.objects and how[0] != MERGE:
            return self._store(row, body)
        current = self._existing(row, doing)
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != current["metadata"]["resourceVersion"]:
            raise ConflictError(doing, 409, "the object has been modified")
        if how[1] == "status":
            body = {"status": body["status"]}
        body.get("metadata", {}).pop("resourceVersion", None)
        if how[0] == APPLY and "data" in body:  # what its one owner names no more goes
            current = current | {"data": {}}
        return self._update(row, doing, current, _merge(current, body))

    def _delete(self, row: Row, current: Json) -> Json:
        """Remove an object, or only note it while somebody's finalizer is there."""
        metadata = current["metadata"]
        if not metadata.get("finalizers"):
            self.objects.pop(row)
            self._collect(metadata["uid"])
        elif "deletionTimestamp" not in metadata:
            deleted = copy_json(metadata) | {"deletionTimestamp": DELETED_AT}
            deleted["generation"] += 1
            return self._store(row, current | {"metadata": deleted})
        return current

    def _update(self, row: Row, doing: str, current: Json, merged: Json) -> Json:
        """Keep a changed object; one that is being deleted goes with its last finalizer."""
        before, after = (set(one["metadata"].get("finalizers") or ()) for one in (current, merged))
        if "deletionTimestamp" not in current["metadata"]:
            return self._store(row, merged)
        if after - before:
            text = "no new finalizers can be added if the object is being deleted"
            raise ClusterError(doing, UNPROCESSABLE, text)
        stored = self._store(row, merged)
        return self._delete(row, stored) if before and not after else stored

    def _store(self, row: Row, body: Json) -> Json:
        metadata = body["metadata"]
        metadata.setdefault("namespace", row[1])
        metadata.setdefault("uid", f"uid-{self._version}")
        metadata.setdefault("generation", 1)
        metadata.setdefault("creationTimestamp", f"2026-01-01T00:00:{self._version % 60:02}Z")
        metadata["resourceVersion"] = str(self._version)
        self.objects[row] = body
        return body

    def _collect(self, uid: str) -> None:
        """Remove what only the object of this uid owned, as the garbage collector does."""
        for row, body in list(self.objects.items()):
            owners = {owner["uid"] for owner in body["metadata"].get("ownerReferences", [])}
            if owners == {uid}:
                del self.objects[row]

    def names(self, kind: str) -> list[str]:
        """Return the names of all objects of a kind (plural), sorted."""
        return sorted(name for plural, _, name in self.objects if plural == kind)


def copy_json(value: Any) -> Any:
    """Return a copy of a JSON value that shares nothing with it."""
    if isinstance(value, dict):
        return {name: copy_json(one) for name, one in value.items()}
    return [copy_json(one) for one in value] if isinstance(value, list) else value


def _merge(current: Any, patch: Any) -> Any:
    """Return RFC 7396's merge."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(current) if isinstance(current, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged
