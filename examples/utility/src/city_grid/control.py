"""What the utility's people use: a small HTTP port on 127.0.0.1, and who asks it.

Who may reach it is who may `kubectl exec` into the pod. Neighbours: `vtn`, `__main__` (commands).
"""

import http.client
import json
import secrets
from typing import TYPE_CHECKING, Any

from .programme import Event, Programme, build_peak, format_moment

if TYPE_CHECKING:
    from aiohttp import web

    from .vtn import Vtn

HOST, PORT = "127.0.0.1", 8090
PATIENCE_S = 10
LONGEST_S = 7 * 86_400
_NUMBERS = {"level": (1, 3), "starts_in_s": (0, LONGEST_S), "seconds": (1, LONGEST_S)}
BAD_REQUEST, NOT_FOUND, CONFLICT = 400, 404, 409


class ControlError(Exception):
    """It was refused, or nobody answered; the message says why."""


def parse_peak(body: Any, vens: list[str], programme: Programme, now_s: int) -> Event:
    """Return the peak that a request asks for: level, starts_in_s, seconds, vens or null.

    Raises:
        ValueError: a field is unknown, missing or out of its range.
    """
    if not isinstance(body, dict):
        raise ValueError("not an object")  # noqa: TRY004 - of a request, not of a caller
    only = body.get("vens")
    for name in body:
        if name not in (*_NUMBERS, "vens"):
            raise ValueError(f"{name}: unknown; there are {', '.join(_NUMBERS)}, vens")
    for name, (least, most) in _NUMBERS.items():
        value = body.get(name)
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{name}: {value!r} is no whole number from {least} to {most}")
    if only is not None and (not isinstance(only, list) or not only):
        raise ValueError("vens: a list of names, or null for all")
    for name in only or ():
        if name not in vens:
            raise ValueError(f"vens: {name!r} is none of {', '.join(vens)}")
    start_s = now_s + body["starts_in_s"]
    digits = format_moment(start_s).replace(":", "").replace("-", "")
    event_id = f"peak-{digits}-{secrets.token_hex(2)}"
    return build_peak(programme, event_id, body["level"], start_s, body["seconds"], only)


def build_control(vtn: "Vtn", programme: Programme) -> "web.Application":
    """Return the port's application."""
    from aiohttp import web  # noqa: PLC0415 - not for those who only ask

    def refuse(status: int, words: str) -> web.Response:
        return web.json_response({"error": words}, status=status)

    async def state(_: web.Request) -> web.Response:
        return web.json_response(vtn.describe())

    async def peak(request: web.Request) -> web.Response:
        try:
            event = parse_peak(await request.json(), vtn.vens, programme, vtn.now_s)
        except ValueError as error:
            return refuse(BAD_REQUEST, str(error))
        vtn.add(event)
        return web.json_response({"id": event.event_id})

    async def cancel(request: web.Request) -> web.Response:
        event_id = request.match_info["event_id"]
        try:
            done = vtn.cancel(event_id)
        except KeyError:
            return refuse(NOT_FOUND, f"there is no event {event_id!r}")
        if not done:
            return refuse(CONFLICT, f"{event_id} is over or cancelled already")
        return web.json_response({"id": event_id})

    application = web.Application()
    application.add_routes(
        [
            web.get("/state", state),
            web.post("/events", peak),
            web.delete("/events/{event_id}", cancel),
        ]
    )
    return application


def ask(port: int, method: str, path: str, body: Any = None) -> Any:
    """Ask the control port of a utility on this machine; return its answer.

    Raises:
        ControlError: it refused, or nobody answers.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE_S)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"content-type": "application/json"})
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        words = f"nobody answers on {HOST}:{port} ({error}); is `city_grid serve` running here?"
        raise ControlError(words) from None
    finally:
        connection.close()
    if answer.status >= BAD_REQUEST:
        raise ControlError(found.get("error", f"status {answer.status}"))
    return found
