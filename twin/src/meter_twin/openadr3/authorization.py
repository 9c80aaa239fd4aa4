"""OAuth2 client credentials: where tokens come from, and when the next one is due; without I/O.

A token is renewed before it ends; one that the VTN refuses is replaced once, a second refusal is
trouble. Nothing of this outlives the process: a successor asks for a token of its own. Source:
OpenADR 3.1.0 Definitions, "OAuth 2.0 client credential flow" and "Token endpoint discovery"; RFC
6749, 4.4 (the secret in the body, as the OpenAPI has it); RFC 6750, 2.1. Neighbour: `ven`.
"""

import re
from collections.abc import Callable

from meter_twin.demand_response.response_code import is_success

from .dialogue import JSON, SERVER, TOKEN, Question, Trouble, find_reason
from .json_codec import JsonError, decode, find_number, get_row, quote

USUAL_LIFE_S, LEAST_LIFE_S, MOST_LIFE_S = 3_600, 30, 30 * 86_400
"""Of a token: if the server does not say, and what it may say."""
RENEWED_BEFORE_S = 60
DEFAULT_PATH = "/auth/token"
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]{1,8192}=*")
_ADDRESS = re.compile(r"(https?)://[A-Za-z0-9._:\[\]-]{1,300}(?:/[\x21-\x7e]{0,1500})?")
_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": JSON}
_NOT_FOUND = (404, 501)


class Credentials:
    """What a utility gave this meter; neither part is ever shown."""

    __slots__ = ("client_id", "client_secret")

    def __init__(self, client_id: str, client_secret: str) -> None:
        """Keep them."""
        self.client_id = client_id
        self.client_secret = client_secret

    def __repr__(self) -> str:
        """Show nothing."""
        return "Credentials(***)"


class Authorization:
    """The token of one VEN."""

    def __init__(
        self, url: str, credentials: Callable[[], Credentials | None], token_url: str = ""
    ) -> None:
        """Begin without a token.

        Args:
            url: of the VTN, without a slash at its end.
            credentials: returns them as they are now; None for a VTN that wants none.
            token_url: where tokens come from; empty: the VTN is asked (GET /auth/server).
        """
        self._url = url
        self._credentials = credentials
        self._pinned = token_url
        self._address = token_url
        self._token = ""
        self._renew_s = 0
        self._is_replaced = False
        """The present token stands for one that was refused; no answer has come to it yet."""

    def __repr__(self) -> str:
        """Show nothing of the token."""
        return "Authorization(***)"

    @property
    def token(self) -> str:
        """The present one, empty without; for who else wants it, such as the VTN's broker."""
        return self._token

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each question to the VTN."""
        found = {"accept": JSON}
        if self._token:
            found["authorization"] = f"Bearer {self._token}"
        return found

    def find_question(self, now_s: int) -> Question | None:
        """Return what has to be asked before anything else, None if the token is good."""
        if self._token and now_s < self._renew_s:
            return None
        credentials = self._credentials()
        if credentials is None:
            self._token = ""
            return None
        if not self._address:
            return Question("GET", "/auth/server", SERVER, headers={"accept": JSON})
        pairs = {
            "grant_type": "client_credentials",
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
        }
        body = "&".join(f"{name}={quote(value)}" for name, value in pairs.items()).encode()
        if self._address.startswith(self._url + "/"):
            path = self._address[len(self._url) :]
            return Question("POST", path, TOKEN, "", body, _FORM)
        return Question("POST", "", TOKEN, "", body, _FORM, self._address)

    def take(self, asked: Question, status: int, octets: bytes, now_s: int) -> Trouble | None:
        """Take the answer to such a question; return what is wrong with it."""
        if asked.purpose == SERVER:
            return self._take_server(status, octets)
        if not is_success(status):
            self.failed(asked)
            # RFC 6749, 5.2: a client that is not known is answered with 400 or 401.
            reason = "Unauthorized" if status in (400, 401) else find_reason(status)
            return Trouble(reason, f"the token was refused with status {status}")
        try:
            row = get_row(decode(octets))
            token, life_s = row.get("access_token"), find_number(row, "expires_in", USUAL_LIFE_S)
        except JsonError as error:
            return Trouble("BadAnswer", f"token: {error}")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return Trouble("BadAnswer", "access_token is no bearer token")
        life_s = min(max(life_s or 0, LEAST_LIFE_S), MOST_LIFE_S)
        self._token = token
        self._renew_s = now_s + life_s - min(RENEWED_BEFORE_S, life_s // 5)
        return None

    def _take_server(self, status: int, octets: bytes) -> Trouble | None:
        if status in _NOT_FOUND:
            self._address = self._url + DEFAULT_PATH
            return None
        if not is_success(status):
            return Trouble(find_reason(status), f"/auth/server was answered with status {status}")
        try:
            address = get_row(decode(octets)).get("tokenURL")
        except JsonError as error:
            return Trouble("BadAnswer", f"/auth/server: {error}")
        match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if match is None or not isinstance(address, str):
            return Trouble("BadAnswer", "/auth/server: tokenURL is no URL")
        if self._url.startswith("https:") and match[1] != "https":
            return Trouble("BadAnswer", "/auth/server: the secret is not sent without TLS")
        self._address = address
        return None

    def failed(self, asked: Question) -> None:
        """Note that there was no token; its server is looked up again, it may have moved."""
        if asked.purpose == TOKEN:
            self._token, self._address = "", self._pinned

    def take_status(self, status: int) -> bool:
        """Take the status of an answer of the VTN; return whether a new token may help."""
        if status != 401:  # noqa: PLR2004 - Unauthorized
            self._is_replaced = False
            return False
        was_replaced, self._is_replaced = self._is_replaced, bool(self._token)
        may_help = bool(self._token) and not was_replaced
        self._token = ""
        return may_help
