"""Renewal of the meter's certificate: moves what `renewal` decides over a session or the port.

Neighbours: `link_task`, whose sessions carry the request and which takes the new context from
here; `credential_store`, which keeps the answer.
"""

import asyncio
import gc
import sys

from credential_store import BY_PORT, BY_SESSION
from meter_wire.portable.tlv import RemoteProtocolError

WAIT_MS = 30000
"""For all that is done over the renewal port."""
_LOOK_S = 0.5
_REFUSED = 13
"""EACCES: the broker allows no subscription."""


class Renewing:
    """Asks; `found` is an accepted answer until `store` has kept it."""

    def __init__(self, config, renewal, credentials, timekeeper, tell, log) -> None:
        """Ask nobody yet.

        Args:
            config: see `config.Config`.
            renewal: see `renewal.Renewal`.
            credentials: see `credential_store.Credentials`.
            timekeeper: see `timekeeper.Timekeeper`.
            tell: (change) → None, records the event.
            log: (text) → None.
        """
        self._config = config
        self._renewal = renewal
        self._credentials = credentials
        self._timekeeper = timekeeper
        self._tell = tell
        self._log = log
        self._base = "mt/" + config.device + "/"
        self._way = BY_SESSION
        self._ended = False
        self.found = None

    @property
    def renew_from_s(self) -> int:
        """UTC second from which the next request is welcome, 0 for never."""
        return self._credentials.renew_from_s

    def tried(self, is_reached: bool, error) -> None:
        """Note why a session with the first broker could not be opened."""
        if not isinstance(error, (asyncio.TimeoutError, MemoryError)):  # they say nothing
            self._renewal.tried(is_reached and isinstance(error, (OSError, ValueError)))

    def welcomed(self) -> None:
        """Note that a session is open."""
        self._renewal.welcomed()

    def is_idle(self) -> bool:
        """Tell whether nothing is to be remembered, so that this may go."""
        return self.found is None and self._renewal.is_idle(self._timekeeper.uptime_ms())

    def unload(self) -> None:
        """Give back the heap that the code of a renewal takes; it is loaded again when needed."""
        for name in ("renewing", "renewal", "credential_store", "certificate", "tls_client"):
            sys.modules.pop(name, None)

    async def ask(self, shell, utc_s: int) -> None:
        """Ask over an open session if that is due; its answer comes to `receive`.

        Raises:
            OSError: the session was lost meanwhile.
        """
        if self._renewal.is_due(self.renew_from_s, utc_s, self._timekeeper.uptime_ms()):
            self._log("renewal: asking")
            self._way = BY_SESSION
            await self._send(shell, self._request())

    def _request(self) -> bytes:
        return self._renewal.ask(self._credentials.certificate())

    async def _send(self, shell, request: bytes) -> None:
        try:
            await shell.subscribe((self._base + "renewed", 1))
        except OSError as error:
            if error.args[0] != _REFUSED:
                raise
            self._log("renewal: not with this broker")
            return
        await shell.publish(self._base + "renew", request)

    def receive(self, payload: bytes) -> "str | None":
        """Take what came on `mt/<device>/renewed`; return why it is refused, None if it is found.

        It is kept when the session has ended, which takes most of the heap.
        """
        try:
            self.found = self._renewal.accept(payload)
        except RemoteProtocolError as error:
            return error.args[0]
        return None

    def store(self):
        """Keep what was found; return its TLS context, None if there is nothing or it is no use."""
        found = self.found
        if found is None:
            return None
        gc.collect()
        try:
            context = self._credentials.store(found.certificate, found.anchors, found.renew_from_s)
        except (OSError, ValueError) as error:  # authentic, and TLS or the flash does not take it
            self._log("renewal: %s" % (type(error).__name__,))
            self.found = None
            return None
        self.found = None
        self._timekeeper.tell_board(self._credentials.valid_from_s)
        self._log("renewal: done")
        self._tell(self._way)
        return context

    def open(self):
        """Return a TLS context of the credentials in force.

        Raises:
            OSError or ValueError: those that were provisioned do not load any more.
        """
        return self._credentials.open()

    def is_dark(self) -> bool:
        """Tell whether to `dial` now."""
        port = self._config.renewal_port
        return bool(port) and self._renewal.is_dark(self._timekeeper.uptime_ms())

    async def dial(self, beat, count) -> None:
        """Ask over the renewal port of the first broker, where nobody is verified.

        Args:
            beat: () → None, called twice a second.
            count: (name) → None, counts a refused answer.
        """
        self._log("renewal: asking over the renewal port")
        self._ended = False
        gc.collect()
        work = asyncio.create_task(self._exchange(count))
        end_ms = self._timekeeper.uptime_ms() + WAIT_MS
        try:
            while not work.done():  # what follows needs the heap of its session
                beat()
                await asyncio.sleep(_LOOK_S)
                if self._timekeeper.uptime_ms() >= end_ms:
                    work.cancel()
        finally:
            work.cancel()

    async def _exchange(self, count) -> None:
        from mqtt_shell import MqttShell  # noqa: PLC0415
        from tls_client import unverified_context  # noqa: PLC0415

        def on_message(message) -> None:
            reason = self.receive(message.payload)
            if reason is None:
                self._ended = True
            else:
                count(reason)

        config = self._config
        shell = MqttShell(config.device, on_message)
        reading = None
        try:
            self._way = BY_PORT
            request = self._request()
            gc.collect()
            name = config.tls["server_name"]
            await shell.connect(config.host, config.renewal_port, unverified_context(), name)
            reading = asyncio.create_task(self._read(shell))
            await self._send(shell, request)
            while not self._ended:
                await asyncio.sleep(_LOOK_S)
        except Exception as error:
            self._log("renewal: %s" % (type(error).__name__,))
        finally:
            if reading is not None:
                reading.cancel()
            shell.abort()
            self._ended = True

    async def _read(self, shell) -> None:
        try:
            await shell.run()
        except Exception as error:
            self._log("renewal: %s" % (type(error).__name__,))
        self._ended = True
