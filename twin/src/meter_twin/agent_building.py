"""Builds the agent for a utility by the protocol that it has; only that one is loaded.

Neighbours: `utility_agent` (what it can), `utility_talk` (holds it).
"""

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from . import log
from .configuration import UtilitySettings
from .demand_response.customer_override import Decide
from .utility_agent import OPENADR_2, UtilityAgent, find_protocol
from .utility_file import UtilityAddress

_ID_OCTETS = 8


class Self(NamedTuple):
    """Who this meter is, and what it acts on."""

    device: str
    settings: UtilitySettings
    signals: frozenset[str]
    bidding: Callable[[Any], Any] | None = None
    """What answers offers of capacity."""


def build_agent(
    me: Self, address: UtilityAddress, decide: Decide, memory: dict[str, Any] | None
) -> UtilityAgent:
    """Return the agent for a utility, with what is remembered if that is of its protocol."""
    if find_protocol(memory) != address.protocol:
        memory = None  # of another protocol, nothing of it can be gone on with
    settings = me.settings
    who = settings.ven_name, me.device, me.signals
    about = frozenset(address.market_contexts) or None, frozenset(settings.groups)
    if address.protocol == OPENADR_2:
        if me.bidding is not None:
            log.log("warning", "bids for capacity need OpenADR 3.1", application="capacity-bidding")
        from .openadr2 import agent as openadr2  # noqa: PLC0415 - only this one is loaded

        agency = openadr2.Agency(*who, *about, signs=bool(address.signed_by))
        return openadr2.Agent(agency, decide, lambda: secrets.token_hex(_ID_OCTETS), memory)
    from .openadr3 import agent as openadr3  # noqa: PLC0415
    from .openadr3 import enrolment  # noqa: PLC0415
    from .utility_credentials import read_credentials  # noqa: PLC0415

    url = address.url
    text = f"http{'s' if url.is_secure else ''}://{url.authority}{url.path}"
    resources = tuple(enrolment.Resource(*one) for one in settings.resources)
    agency3 = openadr3.Agency(text, *who, *about, resources=resources)
    credentials = partial(read_credentials, settings.folder)
    return openadr3.Agent(agency3, decide, credentials, memory, me.bidding)
