"""How a VTN can tell of a change before the next poll: its notifiers, and what they say.

A notification is only a reason to look: what has changed is read from the VTN itself, with this
VEN's own token, so nobody who can write to a broker can move a load. A twin has no address for
webhooks, so it makes no subscription objects (docs/adr/0027). Source: OpenADR 3.1.0, Definitions,
"Notifications via Additional Protocols"; OpenAPI, notifiersResponse, notifierTopicsResponse,
notification. Neighbours: `agent`, `broker_place` (where to listen).
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from .json_codec import MOST_TEXT, JsonError, decode, find_names, find_text, get_row

MOST_URIS = 4
OPERATIONS = ("CREATE", "UPDATE", "DELETE")
ANONYMOUS, BEARER, CERTIFICATE = METHODS = ("ANONYMOUS", "OAUTH2_BEARER_TOKEN", "CERTIFICATE")
_SPELLED = {"OAUTH2BEARERTOKEN": BEARER}
"""As openleadr-rs 0.2.8 writes it."""
MOST_TOPIC = 512
CLIENT_ID = "{clientID}"
"""As a username it stands for the client's id."""


class Broker(NamedTuple):
    """Where a VTN publishes over MQTT, and who may listen; a key that it sends is not kept."""

    uris: tuple[str, ...]
    method: str
    username: str = ""


class Notifiers(NamedTuple):
    """What a VTN has."""

    has_webhook: bool = False
    broker: Broker | None = None


class Notification(NamedTuple):
    """That something was created, changed or deleted."""

    operation: str
    object_type: str
    object_id: str
    targets: tuple[str, ...] = ()
    """Of the object, if it came whole; none is everybody."""


def parse_notifiers(octets: bytes) -> Notifiers:
    """Return a VTN's notifiers; a broker that cannot be used is none.

    Raises:
        JsonError: the answer is none.
    """
    row = get_row(decode(octets))
    mqtt = row.get("MQTT")
    broker = None
    if isinstance(mqtt, dict) and mqtt.get("serialization", "JSON") == "JSON":
        uris = tuple(
            one
            for one in find_names(mqtt, "URIS")
            if one.startswith(("mqtt://", "mqtts://")) and len(one) < MOST_TEXT  # not cut
        )
        authentication = get_row(mqtt.get("authentication") or {})
        method = find_text(authentication, "method")
        method = _SPELLED.get(method, method)
        if uris and method in METHODS:
            username = find_text(authentication, "username")
            if username.isprintable():
                broker = Broker(uris[:MOST_URIS], method, username)
    return Notifiers(row.get("WEBHOOK") is True, broker)


def parse_topics(octets: bytes) -> tuple[str, ...]:
    """Return the topics to subscribe to: that of all operations, or one for each.

    Raises:
        JsonError: the answer is none, or a topic would be everybody's.
    """
    topics = get_row(get_row(decode(octets)).get("topics"))
    names = ["ALL"] if topics.get("ALL") else list(OPERATIONS)
    found = [topics[name] for name in names if topics.get(name)]
    for one in found:
        _check_topic(one)
    return tuple(found)


def list_aliases(topics: Iterable[str], ven_id: str) -> tuple[str, ...]:
    """Return the topics on which openleadr-rs really publishes a ven's events.

    It (0.2.8) tells `events/vens/<id>/…` and publishes on `vens/<id>/events/…`.
    """
    told, meant = f"events/vens/{ven_id}/", f"vens/{ven_id}/events/"
    return tuple(one.replace(told, meant) for one in topics if told in one)


def _check_topic(topic: Any) -> None:
    """Refuse what is no filter of MQTT 3.1.1 (4.7), or one of what is everybody's."""
    if not isinstance(topic, str) or not 0 < len(topic) <= MOST_TOPIC or not topic.isprintable():
        raise JsonError("a topic is no text, too long or not printable")
    levels = topic.split("/")
    if topic.startswith(("#", "+", "$")):
        raise JsonError("a topic is too wide")
    if "#" in topic[:-1] or any(("+" in one or "#" in one) and len(one) > 1 for one in levels):
        raise JsonError("a topic is no filter of MQTT")


def parse_notification(octets: bytes) -> Notification:
    """Return what a notification is about, whole (with its object) or short (`ID` alone).

    Raises:
        JsonError: it is none.
    """
    row = get_row(decode(octets))
    operation, object_type = find_text(row, "operation"), find_text(row, "objectType")
    if operation not in OPERATIONS or not object_type:
        raise JsonError("is no notification")
    named = row.get("object")
    if not isinstance(named, dict):
        return Notification(operation, object_type, find_text(row, "ID"))
    targets = find_names(named, "targets")
    return Notification(operation, object_type, find_text(named, "id"), targets)
