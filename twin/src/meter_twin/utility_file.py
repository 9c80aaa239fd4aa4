"""Where the utility is: `utility.json` beside CA and certificate, written by the operator.

It lies in a volume and not in METERTWIN_CONFIG, so that a utility that moves its server, or renews
its CA, replaces no twin (docs/adr/0021). It may come later than the twin, or go: metering goes on.
Neighbours: `utility_loop` (polls it), `http_client` (uses CA and certificate).
"""

import json
import os
from typing import Any, NamedTuple

from .http_url import Url, parse_url
from .option_schema import OptionError, apply_schema
from .utility_agent import OPENADR_2, OPENADR_3

NAME = "utility.json"
MOST_OCTETS = 65_536
_URI = r"[\x21\x23-\x3b\x3d\x3f-\x5a\x5f\x61-\x7a\x7e]+"
"""Of OpenADR 2.0b's market contexts; names of 3.1's programs are such too."""
_SCHEMA = {
    "type": "object",
    "required": ["protocol", "url"],
    "properties": {
        "protocol": {"type": "string", "enum": [OPENADR_2, OPENADR_3]},
        "url": {"type": "string", "maxLength": 512},
        "marketContexts": {
            "type": "array",
            "maxItems": 64,
            "items": {"type": "string", "maxLength": 256, "pattern": _URI},
            "default": [],
        },
        "signedBy": {
            "type": "array",
            "maxItems": 8,
            "items": {"type": "string", "pattern": "([0-9A-F]{2}:){9}[0-9A-F]{2}"},
            "default": [],
        },
    },
}  # fmt: skip


class UtilityAddress(NamedTuple):
    """What a utility speaks, where, of which market contexts its events are, who signs for it."""

    protocol: str
    url: Url
    market_contexts: tuple[str, ...]
    signed_by: tuple[str, ...] = ()
    """Fingerprints of the VTN's certificates; with one, payloads are signed in both directions."""


class UtilityFileError(ValueError):
    """There is no address; `reason` is one word for the condition UtilityRegistered."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep the reason."""
        super().__init__(message)
        self.reason = reason


def parse_address(text: str) -> UtilityAddress:
    """Return the address that a utility.json holds.

    Raises:
        UtilityFileError: it is wrong; the message names the field.
    """
    try:
        found: dict[str, Any] = apply_schema(_SCHEMA, json.loads(text), NAME)
        url = parse_url(found["url"])
    except OptionError as error:
        one = error.violation
        raise UtilityFileError("Misconfigured", f"{one.field} {one.message}") from error
    except (ValueError, RecursionError) as error:
        raise UtilityFileError("Misconfigured", f"{NAME}: {error}") from error
    signed_by = tuple(found["signedBy"])
    if signed_by and (found["protocol"] != OPENADR_2 or not url.is_secure):
        text = f"{NAME}.signedBy is for OpenADR 2.0b over https"
        raise UtilityFileError("Misconfigured", text)
    return UtilityAddress(found["protocol"], url, tuple(found["marketContexts"]), signed_by)


class UtilityFile:
    """The file, looked at again and again."""

    def __init__(self, folder: str) -> None:
        """Nothing is read yet."""
        self.folder = folder
        self._print: tuple[int, int, int] | None = None

    def poll(self) -> UtilityAddress | None:
        """Return the address if it is another one than at the last look, else None.

        Raises:
            UtilityFileError: there is none, or a wrong one.
        """
        path = f"{self.folder}/{NAME}"
        try:
            stat = os.stat(path)  # noqa: PTH116 - pathlib costs 0.3 MiB
            found = stat.st_ino, stat.st_mtime_ns, stat.st_size
            if found == self._print:
                return None
            with open(path, encoding="utf-8") as file:  # noqa: PTH123 - as above
                text = file.read(MOST_OCTETS)
        except (OSError, UnicodeError) as error:
            self._print = None
            text = "its address is not there: the Utility is missing, or the operator has not come"
            raise UtilityFileError("UtilityMissing", text) from error
        address = parse_address(text)
        self._print = found
        return address
