"""Resources of one kind as the watch has told them: what they say, and their whole form. No I/O.

What was deleted stays so: a list or an answer from before its deletion may come after that, and
brings nothing back, as a uid never comes again. Neighbour: `cache`.
"""

from collections.abc import Callable, Container

from meter_operator.desired import Json, Key


class Declared:
    """Of one kind: `specs` is what is wanted, `bodies` the resources with their status."""

    def __init__(self, gone: Container[str], bury: Callable[[str], None]) -> None:
        """`gone` has the uids of what was deleted, `bury` adds one."""
        self.specs: dict[Key, Json] = {}
        self.bodies: dict[Key, Json] = {}
        self._gone = gone
        self._bury = bury

    def store(self, body: Json) -> bool:
        """Keep a resource unless a newer one is known; whether what it says is new.

        The spec stays the same object while it says the same: who compares it need not read it.
        """
        key = find_key(body)
        known = self.bodies.get(key)
        if known is not None and find_version(known) > find_version(body):
            return False
        if body["metadata"].get("uid") in self._gone:
            return False
        self.bodies[key] = body
        if self.specs.get(key) == body["spec"]:
            return False
        self.specs[key] = body["spec"]
        return True

    def drop(self, body: Json) -> None:
        """Forget a resource, but not another one that has its name by now."""
        key = find_key(body)
        known, uid = self.bodies.get(key), body["metadata"]["uid"]
        self._bury(uid)
        if known is not None and known["metadata"]["uid"] == uid:
            del self.specs[key], self.bodies[key]

    def drop_missing(self, namespace: str, known: Container[str], version: int) -> None:
        """Forget those of a namespace that a list of this version no longer has."""
        for key, body in list(self.bodies.items()):
            is_missing = key.namespace == namespace and key.name not in known
            if is_missing and find_version(body) <= version:
                self.drop(body)


def find_key(body: Json) -> Key:
    """Return namespace and name."""
    return Key(body["metadata"]["namespace"], body["metadata"]["name"])


def find_version(body: Json) -> int:
    """Return the resource version as a number, 0 where there is none."""
    text = str(body["metadata"].get("resourceVersion") or "")
    return int(text) if text.isdigit() else 0
