"""By what the meter is known and knows its brokers: the provisioned files, or their renewal.

A renewal is kept in two slots (`state`), so a power cut leaves the old one or the new one, and with
a hash of the provisioned files that it follows: an engineer who provisions the board again is
above it. What is damaged or does not load is told and passed over; the start never fails for it.
Files are read when they are needed: nothing of this stays in the heap.
Neighbours: `tls_client`, `renewing` (brings the renewals), `assembly` (makes this).
"""

from hashlib import sha256

from state import State

NAME = "credentials"
# Items of a renewal; a number never changes its meaning.
PROVISIONED = 1
CERTIFICATE = 2
RENEW_FROM = 3
ANCHORS = (4, 5)

# What the event says: argument of `credentials` in `event_table`.
BY_SESSION = 1
BY_PORT = 2
DAMAGED = 3
UNUSABLE = 4


class Credentials:
    """What is in force: `renew_from_s` (0 for never), and `certificate` and a context on demand."""

    def __init__(self, tls: dict, flash, make_context, read=None) -> None:
        """Use nothing yet.

        Args:
            tls: `config.Config.tls`: paths of the provisioned files.
            flash: folder of the renewal.
            make_context: `tls_client.tls_context`.
            read: path → content of a provisioned file; None for that of the file system.
        """
        self._tls = tls
        self._flash = flash
        self._make_context = make_context
        self._read = read or _read
        self.renew_from_s = tls["renew_from"]
        self.fault = 0
        """`DAMAGED` or `UNUSABLE` if there is a renewal that cannot be used."""

    def open(self):
        """Return a TLS context of the renewal, or else of what was provisioned.

        Raises:
            OSError or ValueError: what was provisioned does not load.
        """
        kept = self._load()
        if kept is not None:
            try:
                anchors = [kept.get(item) for item in ANCHORS if kept.get(item)]
                context = self._make_context(
                    anchors, kept.get(CERTIFICATE), self._read(self._tls["key"])
                )
            except (OSError, ValueError):
                self.fault = UNUSABLE
            else:
                self.renew_from_s = int.from_bytes(kept.get(RENEW_FROM), "big")
                return context
        tls = self._tls
        anchors = [self._read(path) for path in tls["ca"]]
        return self._make_context(anchors, self._read(tls["cert"]), self._read(tls["key"]))

    def certificate(self) -> bytes:
        """Return the DER form of the newest certificate that is whole, valid or not.

        Raises:
            OSError or ValueError: the provisioned one is gone, or neither DER nor PEM.
        """
        from certificate import to_der  # noqa: PLC0415

        kept = None if self.fault else self._load()
        return to_der(self._read(self._tls["cert"]) if kept is None else kept.get(CERTIFICATE))

    def valid_from_s(self) -> int:
        """Return the UTC second from which on that certificate is valid, 0 if it cannot be read."""
        from certificate import valid_from_s  # noqa: PLC0415

        try:
            return valid_from_s(self.certificate())
        except (OSError, ValueError):
            return 0

    def store(self, certificate: bytes, anchors: list, renew_from_s: int):
        """Keep a renewal; return its TLS context.

        Raises:
            OSError or ValueError: it does not load, and nothing has changed.
        """
        context = self._make_context(anchors, certificate, self._read(self._tls["key"]))
        kept = State(self._flash, NAME)
        kept.set(PROVISIONED, self._provisioned())
        kept.set(CERTIFICATE, certificate)
        kept.set(RENEW_FROM, renew_from_s.to_bytes(8, "big"))
        for number, item in enumerate(ANCHORS):
            kept.set(item, anchors[number] if number < len(anchors) else b"")
        kept.save()
        self.renew_from_s = renew_from_s
        self.fault = 0
        return context

    def _load(self):
        """Return the items of the renewal, None if there is none that counts."""
        kept = State(self._flash, NAME)
        if kept.fresh:
            for slot in "01":
                if self._flash.read(NAME + slot) is not None:
                    self.fault = DAMAGED
            return None
        return kept if kept.get(PROVISIONED) == self._provisioned() else None

    def _provisioned(self) -> bytes:
        """Return a hash of the provisioned certificate and anchors."""
        digest = sha256()
        for path in [self._tls["cert"]] + self._tls["ca"]:
            digest.update(sha256(self._read(path)).digest())
        return digest.digest()


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
