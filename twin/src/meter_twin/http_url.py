"""Where a server of the utility is. Neighbour: `http_client`."""

import re
from typing import NamedTuple

_URL = re.compile(
    r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?(/[\x21-\x7e]*)?"
)


class Url(NamedTuple):
    """Where a server is."""

    is_secure: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them."""
        usual = 443 if self.is_secure else 80
        return self.host if self.port == usual else f"{self.host}:{self.port}"


def parse_url(text: str) -> Url:
    """Return a URL without its trailing slash.

    Raises:
        ValueError: it is none of http or https, has a user, query or fragment, or a wrong port.
    """
    match = _URL.fullmatch(text)
    path = (match[4] or "").rstrip("/") if match else ""
    if match is None or "?" in path or "#" in path or not 0 < int(match[3] or 1) < 65_536:  # noqa: PLR2004
        raise ValueError("is no URL of a server")
    is_secure = match[1] == "https"
    port = int(match[3]) if match[3] else (443 if is_secure else 80)
    return Url(is_secure, match[2], port, path)
