"""Says who asks on port 8443: the bearer of a token, looked up in the database each time.

So a token that was revoked is refused from the next question on, whatever replica is asked. Who
has shown too many wrong tokens from an address is refused before the database is asked, unless the
token was right a moment ago: a stranger behind the same address shuts nobody out.
Neighbours: `query_port`, `tokens`, `token_table`.
"""

import asyncio
import ipaddress
import time
from collections import OrderedDict
from datetime import UTC, datetime
from typing import NoReturn

from aiohttp import web

from meter_archive.database import Pool
from meter_archive.gate import Allowance
from meter_archive.refusal import Refusal
from meter_archive.scope import Scope
from meter_archive.token_table import find_token
from meter_archive.tokens import digest_of, find_bearer

WRONG_EACH_MINUTE = 10
_ADDRESSES = 4096
_REMEMBERED = 1024
_LIMIT_S = 10
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="metertwin-archive"'}


class TokenIdentity:
    """Knows askers by their tokens; its call is an `Identify` of `query_port`."""

    def __init__(self, pool: Pool) -> None:
        """Look tokens up here."""
        self._pool = pool
        self._wrong = Allowance(WRONG_EACH_MINUTE, 60, _ADDRESSES)
        self._right: OrderedDict[bytes, None] = OrderedDict()

    async def __call__(self, request: web.Request) -> Scope:
        """Return what the bearer of the request's token may see.

        Raises:
            Refusal: 401, no valid token; 429, too many of these from this address.
            asyncpg.PostgresError, OSError, TimeoutError: the database is away.
        """
        address = network_of(request.remote or "")
        token = find_bearer(request.headers.get("Authorization", ""))
        is_known = token is not None and digest_of(token) in self._right
        if not is_known and not self._wrong.is_left(address, time.monotonic()):
            what = f"has shown more than {WRONG_EACH_MINUTE} wrong tokens in a minute"
            headers = {"Retry-After": "60"}
            raise Refusal(429, "token", f"this address {what}", "wait", headers=headers)
        if token is None:
            self._fail(address, "is missing or malformed", "")
        now = datetime.now(UTC)
        async with asyncio.timeout(_LIMIT_S), self._pool.acquire() as connection:
            found = await find_token(connection, token, now)
        end = found.find_end(now) if found else "is not known"
        digest = digest_of(token)
        if found is None or end:
            self._right.pop(digest, None)
            self._fail(address, end, found.scope.name if found else "")
        self._right[digest] = None
        self._right.move_to_end(digest)
        if len(self._right) > _REMEMBERED:
            self._right.popitem(last=False)
        return found.scope

    def _fail(self, address: str, what: str, who: str) -> NoReturn:
        self._wrong.spend(address, time.monotonic())
        remedy = "send the header `Authorization: Bearer mta_…`; `kubectl meter token` makes one"
        raise Refusal(401, "token", what, remedy, headers=_CHALLENGE, who=who)


def network_of(address: str) -> str:
    """Return what stands for an address: itself, or the /64 of an IPv6 one, which one host owns."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
