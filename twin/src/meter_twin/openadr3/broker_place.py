"""Where a VTN publishes over MQTT, as this VEN would listen there. Pure.

A token that goes to the VTN over TLS goes to no broker without it, whatever the notifiers say; only
where everybody may listen, TLS is the VTN's choice. A key and a certificate that a VTN sends are
not used: the VEN has its own. Source: OpenADR 3.1.0, Definitions,
mqttNotifierBindingObject and mqttNotifierAuthentication…; RFC 3986. Neighbours: `notifier_codec`
(what the VTN says), `agent`, `notification_listener` (connects).
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .authorization import Credentials
from .notifier_codec import ANONYMOUS, BEARER, CERTIFICATE, CLIENT_ID, Broker, list_aliases

PLAIN_PORT, TLS_PORT = 1883, 8883
MOST_PORT = 65_535
_URI = re.compile(r"(mqtts?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?/?")
_ID_DIGITS = 21
"""With two letters before it 23: every broker takes so much [MQTT-3.1.3-5]."""


class BrokerAddress(NamedTuple):
    """One address of a broker."""

    is_secure: bool
    host: str
    port: int


class Place(NamedTuple):
    """Where to listen, and as whom; the password is never shown."""

    addresses: tuple[BrokerAddress, ...]
    topics: tuple[str, ...]
    client_id: str
    username: str | None = None
    password: bytes | None = None
    aliases: tuple[str, ...] = ()
    """Further topics, that nobody has told: a broker may refuse them."""

    def __repr__(self) -> str:
        """Show where, and no secret."""
        return f"Place({', '.join(one.host for one in self.addresses)})"


class Bearer(NamedTuple):
    """What this VEN shows to who wants a token; never shown otherwise."""

    token: str
    """The present one, empty without."""
    find_credentials: Callable[[], Credentials | None]
    is_secret: bool
    """It goes to the VTN over TLS."""

    def __repr__(self) -> str:
        """Show nothing."""
        return "Bearer(***)"


class NoPlaceError(ValueError):
    """There is a broker, and this VEN cannot listen there; the message says why."""


def parse_broker_uri(text: str) -> BrokerAddress | None:
    """Return an address, None if it is none of mqtt or mqtts or names a user or a path."""
    match = _URI.fullmatch(text)
    if match is None:
        return None
    is_secure = match[1] == "mqtts"
    port = int(match[3]) if match[3] else (TLS_PORT if is_secure else PLAIN_PORT)
    return BrokerAddress(is_secure, match[2].strip("[]"), port) if 0 < port <= MOST_PORT else None


def find_place(broker: Broker, topics: Sequence[str], ven_id: str, bearer: Bearer) -> Place:
    """Return where to listen.

    Args:
        broker: as the VTN says.
        topics: those of this VEN.
        ven_id: whoever serves the meter has the same client id, so that one of them listens.
        bearer: what to show to a broker that wants a token.

    Raises:
        NoPlaceError: no address can be used, or there is no token to show.
        ValueError: the files of the credentials are wrong.
    """
    is_open = broker.method == ANONYMOUS or (broker.method == BEARER and not bearer.is_secret)
    found = [parse_broker_uri(one) for one in broker.uris]
    addresses = tuple(one for one in found if one and (one.is_secure or is_open))
    if not addresses:
        raise NoPlaceError("no address of the broker is one of mqtts, or can be read")
    digest = hashlib.sha256(ven_id.encode()).hexdigest()
    aliases = list_aliases(topics, ven_id)
    plain = Place(addresses, tuple(topics), f"mt{digest[:_ID_DIGITS]}", aliases=aliases)
    if broker.method == BEARER:
        return _add_token(plain, broker.username, bearer)
    assert broker.method in (ANONYMOUS, CERTIFICATE)
    return plain


def _add_token(plain: Place, username: str, bearer: Bearer) -> Place:
    """Return a place with user name and token (mqttNotifierAuthenticationOauth2BearerToken)."""
    if not bearer.token:
        raise NoPlaceError("the broker wants a token, and there is none yet")
    if username == CLIENT_ID:
        credentials = bearer.find_credentials()
        if credentials is None:
            raise NoPlaceError("the broker wants a client id, and the Secret has none")
        username = credentials.client_id
    return plain._replace(username=username, password=bearer.token.encode())
