"""The utility's server: openleadr's VTN with mutual TLS, its programme, and who may register.

What openleadr 0.5.36 leaves to its user is done here: it forgets all at its end, so the ids of a
VEN follow from its name and every VEN of the list is known from the start; it calls back for the
first answer to an event only, so answers and polls are seen by its hooks; it asks for an answer at
each delivery, so an event that is answered asks for none. Its queues are one per VEN.
Neighbours: `programme` (what is planned), `observations` (what was seen), `control`.
"""

import contextlib
import io
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from openleadr import OpenADRServer, enums, errors, hooks, objects

from .observations import Answer, Observations, Value
from .programme import MILLION, PRICE, SIMPLE, Event, format_moment, plan
from .settings import Settings

log = logging.getLogger("city_grid")
logging.getLogger("openleadr").setLevel(logging.ERROR)  # it warns of what is so on purpose
KEPT_AFTER_END_S = 86_400
"""An event that is over is shown for so long."""
_TYPES = {SIMPLE: "level", PRICE: "price"}
OK = 200


class Vtn:
    """One per process: openleadr keeps its hooks and the look-up of VENs in module and class."""

    def __init__(
        self,
        settings: Settings,
        fingerprints: dict[str, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`fingerprints`: of the certificate of each VEN that may register, by its name.

        Raises:
            OSError: a certificate or key cannot be used.
        """
        self._settings = settings
        self._fingerprints = fingerprints
        self._clock = clock
        ven_ids = {name: f"ven-{name}" for name in fingerprints}
        self._names = {ven_id: name for name, ven_id in ven_ids.items()}
        self._seen = Observations(ven_ids)
        self._events: dict[str, Event] = {}
        self._cancelled: set[str] = set()
        self._server = OpenADRServer(
            vtn_id=settings.vtn_id,
            http_host=settings.host,
            http_port=settings.port,
            http_cert=settings.certificate,
            http_key=settings.key,
            http_ca_file=settings.ca,
            requested_poll_freq=timedelta(seconds=settings.poll_s),
            ven_lookup=self._look_up,
            verify_message_signatures=False,
            show_fingerprint=False,
        )
        for name, handler in (
            ("on_create_party_registration", self._register),
            ("on_register_report", self._request_report),
            ("on_created_report", _ignore),
            ("on_update_report", _ignore),  # reports asked for before a restart; the hook sees all
        ):
            self._server.add_handler(name, handler)
        hooks.register("before_handle", self._see)

    async def run(self) -> None:
        """Listen; returns at once.

        Raises:
            OSError: the port is taken.
        """
        with contextlib.redirect_stdout(io.StringIO()):  # a banner
            await self._server.run()

    async def stop(self) -> None:
        """Listen no more."""
        await self._server.stop()

    @property
    def vens(self) -> list[str]:
        """The names of the VENs that may register."""
        return list(self._fingerprints)

    @property
    def now_s(self) -> int:
        """UTC seconds."""
        return int(self._clock())

    def tick(self) -> None:
        """Send what is planned anew, and drop what is over; once a second is enough."""
        now_s = self.now_s
        for event in plan(self._settings.programme, now_s):
            if event.event_id not in self._events:
                self.add(event)
        ended = {key for key, one in self._events.items() if one.end_s <= now_s}
        for queue in self._server.events.values():
            # Before openleadr does: it answers with status 500 who then answers such an event.
            queue[:] = [one for one in queue if one.event_descriptor.event_id not in ended]
        old = {key for key in ended if self._events[key].end_s <= now_s - KEPT_AFTER_END_S}
        self._seen.forget(old)
        self._cancelled -= old
        for key in old:
            del self._events[key]

    def add(self, event: Event) -> None:
        """Send an event to the VENs it is for, to those that register later too."""
        self._events[event.event_id] = event
        for name in filter(event.is_for, self._fingerprints):
            self._offer(name, event)
        log.info("event %s of %s, %d s", event.event_id, event.signal, event.end_s - event.start_s)

    def cancel(self, event_id: str) -> bool:
        """Cancel an event; return whether it is one that was still to come or active.

        Raises:
            KeyError: there is none.
        """
        event = self._events[event_id]
        if event_id in self._cancelled or event.end_s <= self.now_s:
            return False
        self._cancelled.add(event_id)
        for name in filter(event.is_for, self._fingerprints):
            if (found := self._find_offer(name, event_id)) is not None:
                found.response_required = "always"
                self._server.cancel_event(self._seen.vens[name].ven_id, event_id)
        log.info("event %s is cancelled", event_id)
        return True

    def describe(self) -> dict[str, Any]:
        """Return what `state` shows."""
        seen = self._seen.vens
        return {
            "vens": {name: one.describe() for name, one in seen.items()},
            "events": [self._describe_event(one) for one in self._events.values()],
            "reports": {name: one.describe_reports() for name, one in seen.items()},
        }

    def _describe_event(self, event: Event) -> dict[str, Any]:
        return {
            "id": event.event_id,
            "signal": event.signal,
            "start": format_moment(event.start_s),
            "end": format_moment(event.end_s),
            "level": event.level,
            "status": self._find_status(event),
            "opts": self._seen.find_answers(event.event_id),
        }

    def _find_status(self, event: Event) -> str:
        if event.event_id in self._cancelled:
            return "cancelled"
        now_s = self.now_s
        if now_s >= event.end_s:
            return "completed"
        return "active" if now_s >= event.start_s else "far"

    def _offer(self, name: str, event: Event) -> None:
        ven_id = self._seen.vens[name].ven_id
        self._server.add_raw_event(ven_id, _build_event(event, ven_id))

    def _find_offer(self, name: str, event_id: str) -> Any:
        queue = self._server.events.get(self._seen.vens[name].ven_id, ())
        return next((one for one in queue if one.event_descriptor.event_id == event_id), None)

    def _look_up(self, ven_id: str) -> dict[str, str] | None:
        name = self._names.get(ven_id)
        if name is None:
            return None
        return {
            "ven_id": ven_id,
            "ven_name": name,
            "registration_id": f"registration-{name}",
            "fingerprint": self._fingerprints[name],
        }

    async def _register(self, info: dict[str, Any]) -> tuple[str, str]:
        """Take a VEN, which begins anew: it is told of all events, and answers all.

        Raises:
            errors.NotRegisteredOrAuthorizedError: it is told so, code 463.
        """
        name = str(info.get("ven_name"))
        if name not in self._fingerprints:
            log.warning("a VEN with a name that is not in the list was refused: %.64r", name)
            raise errors.NotRegisteredOrAuthorizedError("no customer of this utility has this name")
        if info.get("fingerprint") != self._fingerprints[name]:
            log.warning("%s was refused: its certificate is another one", name)
            words = "the certificate is not the one that this utility knows for this name"
            raise errors.NotRegisteredOrAuthorizedError(words)
        ven_id = self._seen.vens[name].ven_id
        self._server.events[ven_id] = []
        for event in self._events.values():
            if event.is_for(name) and self._find_status(event) in ("far", "active"):
                self._offer(name, event)
        self._seen.note_registration(name)
        log.info("%s has registered", name)
        return ven_id, f"registration-{name}"

    async def _request_report(  # openleadr calls it by these names
        self,
        ven_id: str,
        resource_id: str,  # noqa: ARG002
        measurement: str,
        unit: str,  # noqa: ARG002
        scale: str,  # noqa: ARG002
        min_sampling_interval: timedelta,  # noqa: ARG002
        max_sampling_interval: timedelta,  # noqa: ARG002
    ) -> tuple[Callable[..., Any], timedelta] | None:
        """Ask for each register of TELEMETRY_USAGE, a quarter hour at a time."""
        if measurement == "Status":
            return None
        self._seen.note_request(self._names[ven_id])
        return _ignore, timedelta(seconds=self._settings.report_s)

    async def _see(self, message_type: str, payload: dict[str, Any]) -> None:
        """See a message of a VEN whose certificate was found to be its own."""
        name = self._names.get(str(payload.get("ven_id")))
        if name is None:
            return
        if message_type == "oadrPoll":
            self._seen.note_poll(name, self.now_s)
        elif message_type == "oadrCreatedEvent":
            for one in payload.get("event_responses") or ():
                self._see_answer(name, one)
        elif message_type == "oadrUpdateReport":
            for report in payload.get("reports") or ():
                self._seen.note_report(name, _list_values(report))

    def _see_answer(self, name: str, given: dict[str, Any]) -> None:
        event_id, modification = str(given["event_id"]), int(given["modification_number"])
        if event_id not in self._events:
            return
        answer = Answer(given["opt_type"], modification, int(given.get("response_code", OK)))
        self._seen.note_answer(name, event_id, answer)
        offer = self._find_offer(name, event_id)
        if offer is not None and offer.event_descriptor.modification_number == modification:
            offer.response_required = "never"


async def _ignore(*_: Any) -> None:
    pass


def _build_event(event: Event, ven_id: str) -> Any:
    """Return an event in openleadr's words."""
    intervals = [
        objects.Interval(
            datetime.fromtimestamp(one.start_s, UTC),
            timedelta(seconds=one.duration_s),
            one.value_micro / MILLION,
        )
        for one in event.intervals
    ]
    unit = None
    if event.currency:
        per_kwh = "currencyPerKWh"
        unit = objects.Measurement(per_kwh, per_kwh, event.currency, scale="none")
    signal = objects.EventSignal(
        intervals, event.signal, _TYPES[event.signal], "1", measurement=unit
    )
    descriptor = objects.EventDescriptor(
        event.event_id, 0, event.market_context, enums.EVENT_STATUS.FAR
    )
    return objects.Event(descriptor, [signal], targets=[objects.Target(ven_id=ven_id)])


def _list_values(report: dict[str, Any]) -> list[Value]:
    """Return the values of a report; the status of a resource is none."""
    found = []
    for one in report.get("intervals") or ():
        payload = one["report_payload"]
        if "value" in payload:
            start_s = int(one["dtstart"].timestamp())
            found.append(Value(str(payload["r_id"]), start_s, float(payload["value"])))
    return found
