"""Talks to one meter's twin: finds its pod, forwards its local port, asks its JSON API."""

import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from meter_wire.names import GROUP, build_twin_name

from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import MeterError

SMART_METERS = f"smartmeters.{GROUP}"
API_PORT = 8081
PAGE = 1000
TIMEOUT_S = 40
# Parameters of the twin that a person gave as an option.
_OPTIONS = {
    "since", "until", "code", "timeout", "live",
    "point", "device", "register", "from", "to", "every", "zone", "feeder",
    "label", "all", "expires", "who", "before", "limit",
}  # fmt: skip


def find_condition(meter: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a condition of a SmartMeter, empty when it has none."""
    conditions = meter.get("status", {}).get("conditions", [])
    return next((dict(c) for c in conditions if c.get("type") == kind), {})


def find_pod(meter: dict[str, Any]) -> str:
    """Return the pod of a SmartMeter's twin.

    Raises:
        MeterError: it has none yet, with the reason that the operator gives.
    """
    status = meter.get("status", {})
    pod = status.get("twin", {}).get("pod")
    if pod:
        return str(pod)
    name = meter["metadata"]["name"]
    if status.get("epoch"):
        return build_twin_name(meter["spec"].get("device") or name, status["epoch"])
    ready = find_condition(meter, "Ready")
    why = ready.get("message") or ready.get("reason") or "the operator has not looked at it"
    raise MeterError(
        f"{name} has no twin: {why}",
        field="status.epoch",
        remedy=f"kubectl describe smartmeter {name}",
    )


class Twin:
    """The API of one twin behind a local port."""

    def __init__(self, name: str, port: int, *, whom: str = "", remedy: str = "") -> None:
        """Say who does not answer, and what to do then: without these it is the twin of `name`."""
        self.name = name
        self._port = port
        self._whom = whom or f"twin of {name}"
        self._remedy = remedy or f"kubectl describe smartmeter {name}, and the twin's log"

    def get(self, path: str, **query: str | int | None) -> dict[str, Any]:
        """Return the JSON document of a GET.

        Raises:
            MeterError: the twin's own error, or it did not answer.
        """
        given = {key: value for key, value in query.items() if value is not None}
        return self._ask("GET", f"{path}?{urlencode(given)}" if given else path)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON document that answers a POST.

        Raises:
            MeterError: the twin's own error, or it did not answer.
        """
        return self._ask("POST", path, json.dumps(body))

    def _ask(self, method: str, url: str, body: str | None = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        try:
            kind = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, url, body, kind)
            answer = connection.getresponse()
            status, text = answer.status, answer.read()
            document: dict[str, Any] = json.loads(text)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise MeterError(
                f"the {self._whom} did not answer: {error or type(error).__name__}",
                remedy=self._remedy,
            ) from None
        finally:
            connection.close()
        if status >= http.client.BAD_REQUEST:
            fault = document.get("error", {})
            field = str(fault.get("field", ""))
            field = f"--{field}" if field in _OPTIONS else field
            message = f"{field} {fault.get('message', status)}".strip()
            raise MeterError(message, field=field, remedy=fault.get("remedy", ""))
        return document

    def entries(self, kind: str, since: str | None, until: str | None) -> Iterator[dict[str, Any]]:
        """Yield all readings or events of a time window, page after page."""
        after = None
        while True:
            page = self.get(f"/v1/{kind}", since=since, until=until, limit=PAGE, after=after)
            yield from page[kind]
            after = page.get("next")
            if after is None:
                return


@contextlib.contextmanager
def open_twin(cluster: Cluster, name: str) -> Iterator[Twin]:
    """Connect to the twin of a SmartMeter.

    Raises:
        MeterError: no such meter, no twin, no port-forward.
    """
    with forward_twin(cluster, cluster.get(SMART_METERS, name)) as twin:
        yield twin


@contextlib.contextmanager
def forward_twin(cluster: Cluster, meter: dict[str, Any]) -> Iterator[Twin]:
    """Connect to the twin of a SmartMeter that was read already.

    Raises:
        MeterError: no twin, no port-forward.
    """
    with cluster.port_forward(find_pod(meter), API_PORT) as port:
        yield Twin(str(meter["metadata"]["name"]), port)
