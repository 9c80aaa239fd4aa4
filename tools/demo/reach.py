"""Whether the places that packages come from can be connected to: all at once, in four seconds.

Nothing is sent: a proxy, if one is set, is taken for the place itself, and what a server answers is
for the tools that will ask it. Neighbour: ``sources.py``, which knows the places.
"""

import errno
import os
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from selectors import EVENT_WRITE, DefaultSelector
from threading import Thread
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

PATIENCE_S = 4.0
LATE = f"no answer within {PATIENCE_S:.0f} s"
PORTS = {"http": 80, "https": 443}


class End(NamedTuple):
    """Where a connection goes: host and port."""

    host: str
    port: int


class Place(NamedTuple):
    """What is to be fetched, and where from; one of the ends is enough."""

    what: str
    ends: tuple[End, ...]


def proxies_in_use() -> dict[str, str]:
    """Return the proxies of the environment: scheme → address, and `no` → who goes without."""
    return getproxies_environment()


def find_end(url: str, proxies: Mapping[str, str]) -> End | None:
    """Return where the connection for an address goes, None if that cannot be told.

    Args:
        url: of a package index or archive.
        proxies: as of `proxies_in_use`.
    """
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        return None
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return End(parts.hostname, parts.port or PORTS[parts.scheme])
    through = urlsplit(proxy if "://" in proxy else f"//{proxy}")
    return End(through.hostname, through.port) if through.hostname and through.port else None


def find_unreachable(places: Iterable[Place]) -> list[str]:
    """Return one text for each place of which no end can be connected to, with the reason."""
    wanted = list(places)
    reasons: dict[End, str] = {}

    def ask(end: End) -> None:
        reasons[end] = connect(end)

    # Daemons: a name that is not resolved holds its thread for longer than we wait.
    ends = {end for place in wanted for end in place.ends}
    threads = [Thread(target=ask, args=(end,), daemon=True) for end in ends]
    deadline = time.monotonic() + PATIENCE_S
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [
        f"{place.what} cannot be fetched from {explain(place.ends, reasons)}"
        for place in wanted
        if place.ends and all(reasons.get(end, LATE) for end in place.ends)
    ]


def explain(ends: Iterable[End], reasons: Mapping[End, str]) -> str:
    """Return each end with the reason why there is no connection."""
    return ", ".join(f"{end.host}:{end.port} ({reasons.get(end, LATE)})" for end in ends)


def connect(end: End) -> str:
    """Return why there is no connection, empty if there is one; all addresses are tried at once."""
    reason = "no address"
    deadline = time.monotonic() + PATIENCE_S
    with ExitStack() as held, DefaultSelector() as waiting:
        try:
            addresses = socket.getaddrinfo(*end, type=socket.SOCK_STREAM)
        except OSError as error:
            return error.strerror or "no such name"
        for family, kind, protocol, _, address in addresses:
            try:
                one = held.enter_context(socket.socket(family, kind, protocol))
                one.setblocking(False)
                status = one.connect_ex(address)
            except OSError as error:  # IPv6 that the machine has not
                reason = error.strerror or reason
                continue
            if status in (0, errno.EINPROGRESS):
                waiting.register(one, EVENT_WRITE, one)
            else:
                reason = os.strerror(status)
        while waiting.get_map():
            ready = waiting.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                return LATE
            for key, _ in ready:
                status = key.data.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not status:
                    return ""
                reason = os.strerror(status)
                waiting.unregister(key.fileobj)
    return reason
