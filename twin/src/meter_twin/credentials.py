"""The twin's certificate and key, and their renewal without a restart.

The operator renews the Secret, kubelet swaps the volume's `..data` link: once a minute the files
behind the links are looked at, and when they are others, new contexts are built from them. New ones
count only when all is well: readable, key and certificate belong together, the same identity, not
expired. Else the old ones stay, which is counted and logged once for each state of the files. The
keys of the epoch (`keys.json`) never change within it and are not read again. Neighbours: `dialing`
(the client's context), `shell` (applies what is new).
"""

import _ssl
import os
import ssl
from datetime import UTC, datetime
from typing import Any, NamedTuple

from . import log
from .configuration import Configuration
from .dialing import tls_context
from .presentation import format_time

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # fmt: skip
_Print = tuple[tuple[str, int, int, int], ...]


class CertificateError(Exception):
    """A renewed certificate that is not used; the text says why and holds no secret."""


class Contexts(NamedTuple):
    """What is in use: for the broker, for the peer port, its URI names and its end."""

    client: ssl.SSLContext
    server: ssl.SSLContext
    names: tuple[str, ...]
    expires_s: int


class Credentials:
    """The contexts of this process."""

    def __init__(self, configuration: Configuration) -> None:
        """Load the files.

        Raises:
            OSError, ssl.SSLError: one cannot be read or used.
        """
        folder = configuration.identity_dir
        self._files = (f"{folder}/tls.crt", f"{folder}/tls.key", configuration.trust_file)
        self._print = self._look()
        self._reported: _Print | None = None
        self.contexts = _load(*self._files)
        self.renewed = 0
        self.refused = 0

    def poll(self, now_s: int) -> bool:
        """Look at the files; return whether `contexts` are new.

        Args:
            now_s: UTC seconds; an expired certificate never replaces one.
        """
        seen = self._look()
        if seen == self._print:
            return False
        try:
            found = self._judge(seen, now_s)
        except (OSError, CertificateError) as error:
            self._refuse(seen, error)
            return False
        self.contexts, self._print, self._reported = found, seen, None
        self.renewed += 1
        return True

    def _judge(self, seen: _Print, now_s: int) -> Contexts:
        if not seen:
            raise CertificateError("a file is missing")
        found = _load(*(place for place, *_ in seen))
        if found.names != self.contexts.names:
            raise CertificateError("it is of another identity")
        if found.expires_s <= now_s:
            raise CertificateError("it has expired")
        return found

    def _refuse(self, seen: _Print, error: OSError | CertificateError) -> None:
        if seen == self._reported:
            return
        self._reported = seen
        self.refused += 1
        reason = error.reason if isinstance(error, ssl.SSLError) else None
        log.log(
            "error",
            "renewed certificate refused, the old one stays",
            reason=reason or (str(error) if isinstance(error, CertificateError) else None),
            error=type(error).__name__,
            remedy="see the Secret of this twin",
        )

    def _look(self) -> _Print:
        """Return place, time, size and number of each file behind its links; empty: one is gone.

        The places are taken once: certificate and key of one renewal lie in one folder.
        """
        try:
            places = [os.path.realpath(file) for file in self._files]
            found = [os.stat(place) for place in places]  # noqa: PTH116 - pathlib costs 0.3 MiB
        except OSError:
            return ()
        return tuple(
            (place, stat.st_mtime_ns, stat.st_size, stat.st_ino)
            for place, stat in zip(places, found, strict=True)
        )

    def describe(self) -> dict[str, Any]:
        """Return what `/v1/status` says."""
        expires = format_time(self.contexts.expires_s)
        return {"expires": expires, "renewed": self.renewed, "refused": self.refused}


def _load(certificate: str, key: str, trust: str) -> Contexts:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(trust)
    server.load_cert_chain(certificate, key)
    # OpenSSL's own reading of the file; ssl offers it for certificates of peers only
    document: dict[str, Any] = _ssl._test_decode_cert(certificate)  # type: ignore[attr-defined]  # noqa: SLF001
    names = tuple(value for kind, value in document.get("subjectAltName", ()) if kind == "URI")
    expires_s = parse_expiry(document["notAfter"])
    return Contexts(tls_context(trust, certificate, key), server, names, expires_s)


def parse_expiry(text: str) -> int:
    """Return UTC seconds of OpenSSL's `Nov  1 07:49:49 2026 GMT` (strptime loads 0.4 MiB).

    Raises:
        ValueError: it has another form.
    """
    month, day, clock, year, _ = text.split()
    hour, minute, second = clock.split(":")
    moment = datetime(
        *(int(year), 1 + _MONTHS.index(month), int(day), int(hour), int(minute), int(second)),
        tzinfo=UTC,
    )
    return int(moment.timestamp())
