"""Asks the meter's twin over mutual TLS; the name of the host is a hint, the certificate counts.

Source: docs/reference/ems-api.md.
"""

import http.client
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from .plan import Plan, PlanError, parse_plan

TIMEOUT_S = 20
TWIN_URI = "urn:metertwin:twin:"


class TwinError(Exception):
    """The twin did not answer, refused, or is another meter's."""


class TwinClient:
    """The twin of one meter."""

    def __init__(self, device: str, host: str, port: int, folder: Path) -> None:
        """`folder` has ca.crt, tls.crt and tls.key of this home's reader."""
        self._device = device
        self._place = host, port
        self._folder = folder
        self._plan = Plan()

    def exchange(self, state: dict[str, Any], seconds: float) -> Plan:
        """Tell what the home has and does, wait; return the plan, the last one if none comes."""
        try:
            self._plan = self.tell(state)
        except TwinError as error:
            sys.stderr.write(f"the twin says nothing, the last plan holds: {error}\n")
        time.sleep(seconds)
        return self._plan

    def close(self) -> None:
        """Nothing is open between two questions."""

    def tell(self, state: dict[str, Any]) -> Plan:
        """Tell what the home has and does; return the plan.

        Raises:
            TwinError: there is none.
        """
        return self._ask("POST", "/v1/ems/state", state)

    def get_plan(self) -> Plan:
        """Return the plan.

        Raises:
            TwinError: there is none.
        """
        return self._ask("GET", "/v1/ems/plan", None)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Plan:
        context = ssl.create_default_context(cafile=str(self._folder / "ca.crt"))
        context.check_hostname = False  # a twin's name changes with its epoch; its URI is checked
        context.load_cert_chain(self._folder / "tls.crt", self._folder / "tls.key")
        host, port = self._place
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
        try:
            connection.connect()
            self._check(connection.sock)
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != http.client.OK:
                raise TwinError(f"status {answer.status}: {text[:200].decode(errors='replace')}")
            return parse_plan(json.loads(text))
        except (OSError, http.client.HTTPException, PlanError, ValueError) as error:
            raise TwinError(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()

    def _check(self, sock: Any) -> None:
        names = sock.getpeercert().get("subjectAltName", ())
        wanted = f"{TWIN_URI}{self._device}:"
        if not any(kind == "URI" and name.startswith(wanted) for kind, name in names):
            raise TwinError(f"it is not the twin of {self._device}")
