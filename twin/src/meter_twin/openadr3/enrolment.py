"""The ven object of a meter and its resources at the VTN: looked up by name, created if missing.

A ven that the utility made for this client under another name is used as it is. From time to time
the ven is read again: targets may have been granted, and one that is gone is created anew.
Resources are wanted, not needed: events come without them. Source: OpenADR 3.1.0, Definitions, "VEN
enrollment", "Object names", "Object Privacy"; OpenAPI, VenVenRequest, VenResourceRequest.
Neighbour: `ven`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from meter_twin.demand_response.response_code import is_success

from .dialogue import (
    CREATE,
    LOOKUP,
    OWN,
    REFRESH,
    RESOURCE,
    RESOURCES,
    Question,
    Registration,
    Trouble,
    find_reason,
)
from .json_codec import (
    MOST_NAMES,
    Row,
    build_query,
    decode,
    decode_rows,
    encode,
    find_names,
    find_text,
    get_id,
    get_row,
)

REFRESH_S = 900
LEAST_APART_S = 60
"""However often a VTN notifies, the ven is not read sooner again."""
CONFLICT, NOT_FOUND = 409, 404
METER = "meter"


class Resource(NamedTuple):
    """The meter or a device behind it (battery, ev, heatPump, pv); powers in W, 0 if unknown."""

    name: str
    kind: str = METER
    most_import_w: int = 0
    most_export_w: int = 0


class Enrolment:
    """See the module."""

    def __init__(
        self, ven_name: str, resources: Sequence[Resource], registration: Registration | None
    ) -> None:
        """Begin, or go on with a registration that was kept; it is read again at once."""
        self._name = ven_name
        self._wanted = {one.name: one for one in resources}
        self.registration = registration
        self._step = LOOKUP if registration is None else REFRESH
        self._missing: list[str] = []
        self._targets: tuple[str, ...] = ()
        """What has been read since the refresh began."""
        self._refresh_s = 0
        self._last_s = -LEAST_APART_S
        self.has_changed = False
        """A ven was found or created since this was last set to False."""

    @property
    def due_s(self) -> int:
        """When the ven is read next."""
        return self._refresh_s

    def find_question(self, now_s: int) -> Question | None:
        """Return what to ask, None if the ven is known and was read lately."""
        if self._step in (LOOKUP, OWN):
            names = [("venName", self._name)] if self._step == LOOKUP else []
            return Question(
                "GET", build_query("/vens", [*names, ("limit", MOST_NAMES)]), self._step
            )
        if self._step == CREATE:
            body = encode({"objectType": "VEN_VEN_REQUEST", "venName": self._name})
            return Question("POST", "/vens", CREATE, body=body)
        registration = self.registration
        if registration is None or now_s < self._refresh_s:
            return None
        if self._step == REFRESH:
            return Question("GET", f"/vens/{registration.ven_id}", REFRESH)
        if self._step == RESOURCES:
            query = build_query(
                "/resources", [("venID", registration.ven_id), ("limit", MOST_NAMES)]
            )
            return Question("GET", query, RESOURCES)
        wanted = self._wanted[self._missing[0]]
        body = encode(_describe(wanted, registration.ven_id))
        return Question("POST", "/resources", RESOURCE, wanted.name, body)

    def take(self, asked: Question, status: int, octets: bytes, now_s: int) -> Trouble | None:
        """Take the answer to such a question; return what is wrong with it.

        Raises:
            JsonError: it is none.
        """
        if asked.purpose in (RESOURCES, RESOURCE):
            return self._take_resources(asked, status, octets, now_s)
        if asked.purpose == CREATE and status == CONFLICT:
            self._step = OWN  # the name is taken, or this client has its ven already
            return None
        if asked.purpose == REFRESH and status == NOT_FOUND:
            self.lose()
            return Trouble("NotRegistered", "the VTN does not know this ven any more")
        if not is_success(status):
            if asked.purpose == REFRESH:
                self._finish(now_s)
            return Trouble(find_reason(status), f"{asked.path} was answered with status {status}")
        if asked.purpose in (CREATE, REFRESH):
            self._take_ven(get_row(decode(octets)))
            return None
        rows = decode_rows(octets)
        if asked.purpose == LOOKUP:
            rows = [one for one in rows if one.get("venName") == self._name]
        if len(rows) == 1:
            self._take_ven(rows[0])
            return None
        if asked.purpose == OWN:
            self._step = LOOKUP
            return Trouble("Refused", f"the name {self._name!r} is another's at the VTN")
        self._step = CREATE
        return None

    def failed(self, asked: Question, now_s: int) -> None:
        """Note that there was no answer, or a bad one."""
        if asked.purpose in (REFRESH, RESOURCES, RESOURCE):
            self._finish(now_s)  # what else is due must not wait for it

    def lose(self) -> None:
        """Register anew, by name."""
        self.registration, self._step = None, LOOKUP

    def doubt(self) -> None:
        """Read the ven again at the next occasion: perhaps it is gone."""
        self._refresh_s = 0

    def expect(self, at_s: int) -> int:
        """Read the ven again then, not too soon after the last time; return when it is read."""
        self._refresh_s = min(self._refresh_s, max(at_s, self._last_s + LEAST_APART_S))
        return self._refresh_s

    def _take_ven(self, row: Row) -> None:
        before = self.registration
        self._targets = find_names(row, "targets")
        name = find_text(row, "venName") or self._name
        granted = before.targets if before else self._targets
        self.registration = Registration(get_id(row, "id"), name, granted)
        self.has_changed |= before is None or before.ven_id != self.registration.ven_id
        self._step, self._refresh_s = RESOURCES, 0

    def _take_resources(
        self, asked: Question, status: int, octets: bytes, now_s: int
    ) -> Trouble | None:
        if asked.purpose == RESOURCES and is_success(status):
            rows = decode_rows(octets)
            names = {find_text(one, "resourceName") for one in rows}
            self._missing = [name for name in self._wanted if name not in names]
            for one in rows:
                self._targets += find_names(one, "targets")
            self._grant()
        elif self._missing:
            self._missing.pop(0)
        is_bad = not is_success(status) and status != CONFLICT
        if is_bad or not self._missing:
            self._finish(now_s)
        else:
            self._step = RESOURCE
        text = f"{asked.method} /resources was answered with status {status}"
        return Trouble(find_reason(status), text) if is_bad else None

    def _grant(self) -> None:
        """Use the targets, once all are read: with fewer, events would seem to be cancelled."""
        if self.registration is not None:
            targets = tuple(dict.fromkeys(self._targets))[:MOST_NAMES]
            self.registration = self.registration._replace(targets=targets)

    def _finish(self, now_s: int) -> None:
        self._step, self._refresh_s, self._missing = REFRESH, now_s + REFRESH_S, []
        self._last_s = now_s


def _describe(wanted: Resource, ven_id: str) -> Row:
    powers = {
        "MAX_POWER_CONSUMPTION": wanted.most_import_w,
        "MAX_POWER_EXPORT": wanted.most_export_w,
    }
    attributes: list[Row] = [{"type": "DESCRIPTION", "values": [wanted.kind]}]
    attributes += [
        {"type": name, "values": [watts / 1000]} for name, watts in powers.items() if watts
    ]
    return {
        "objectType": "VEN_RESOURCE_REQUEST",
        "resourceName": wanted.name,
        "venID": ven_id,
        "attributes": attributes,
    }
