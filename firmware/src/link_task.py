"""The link's task: one broker session at a time, two epochs over it, back-off after a loss.

Moves bytes between `mqtt_shell` and the link's core and does what the core says; it decides
nothing itself, not even which broker (`meter_wire.portable.brokers`). Neighbours: `commands`
carries out what arrives; `supervisor` restarts this task.
"""

import asyncio
import gc

from back_off import BackOff
from meter_wire.portable.brokers import Brokers, split_address
from mqtt_shell import MqttShell


class LinkTask:
    """`run` is the task; `wake` after each new entry."""

    def __init__(
        self, config, link, commands, uptime_ms, tls=None, log=print, make_renewing=None
    ) -> None:
        """Connect later.

        Args:
            config: see `config.Config`.
            link: see `meter_link.MeterLink`.
            commands: see `commands.Commands`.
            uptime_ms: () → milliseconds since boot.
            tls: see `tls_client.tls_context`; None without TLS.
            log: (text) → None.
            make_renewing: () → `renewing.Renewing`; None where no certificate can be renewed.
        """
        self._config = config
        self._link = link
        self._commands = commands
        self._uptime_ms = uptime_ms
        self._tls = tls
        self._log = log
        self._shell = None
        self._reader = None
        self._lost = None
        self._news = asyncio.Event()
        self._back_off = BackOff(config.device, link.info.boot)
        self._base = "mt/" + config.device + "/"
        self._brokers = Brokers("%s:%d" % (config.host, config.port))
        self.renew_from_s = 0
        """UTC second from which a new certificate is asked for, 0 for never."""
        self._make_renewing = make_renewing
        self._renewing = None

    def wake(self) -> None:
        """Look for something to send now."""
        self._news.set()

    async def run(self, beat) -> None:
        """Keep a session with the broker for ever."""
        try:
            while True:
                beat()
                try:
                    await self._session(beat)
                except Exception as error:
                    if isinstance(error, MemoryError):
                        raise
                    self._log("link: %s" % (type(error).__name__,))
                self._end()
                self._brokers.ended(self._link)
                await self._renew(beat)
                await self._pause(beat)
        finally:
            self._end()

    def _need_renewing(self):
        """Return what renews the certificate: there only while it is needed, for it takes heap."""
        if self._renewing is None and self._make_renewing is not None:
            self._renewing = self._make_renewing()
        return self._renewing

    async def _renew(self, beat) -> None:
        """Between two sessions: dial the renewal port if that is due; use what was renewed."""
        renewing = self._renewing
        if renewing is None:
            return
        if renewing.is_dark():
            self._tls = None  # a handshake takes most of the heap
            await renewing.dial(beat, self._link.count)
        context = renewing.store()
        if context is not None:
            self._tls = context
            self.renew_from_s = renewing.renew_from_s
            self._back_off.reset()

    async def _pause(self, beat) -> None:
        pause_ms = self._back_off.next_ms()
        while pause_ms > 0:
            beat()
            await asyncio.sleep(min(pause_ms, 1000) / 1000)
            pause_ms -= 1000

    def _end(self) -> None:
        self._link.disconnected()
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        if self._shell is not None:
            self._shell.abort()
            self._shell = None

    async def _session(self, beat) -> None:
        config = self._config
        self._lost = None
        login = {"username": config.user, "password": config.password} if config.user else {}
        self._shell = shell = MqttShell(
            config.device, self._on_message, keep_alive_s=config.keep_alive_s, **login
        )
        await self._connect(shell)
        brokers = self._brokers
        self._reader = asyncio.create_task(self._read(shell))
        beat()
        epochs = self._link.epochs
        topics = [(self._base + "owner", 1)] + [(self._down(epoch), 1) for epoch in epochs]
        await shell.subscribe(*topics)
        self._link.connected(self._uptime_ms())
        brokers.connected(self._link, self._uptime_ms())
        self._log("link: connected")
        while self._lost is None:
            beat()
            if brokers.leave(self._link, self._uptime_ms()):
                self._log("link: leaving this broker")
                self._back_off.reset()
                return
            await self._ask_renewal(shell)
            if self._renewing is not None and self._renewing.found is not None:
                return
            epochs = await self._follow(shell, epochs)
            await self._send(shell)
        raise self._lost

    async def _ask_renewal(self, shell) -> None:
        if self.renew_from_s:
            utc_s = self._commands.timekeeper.utc()[0]
            if utc_s is not None and utc_s >= self.renew_from_s:
                renewing = self._need_renewing()
                if renewing is not None:
                    await renewing.ask(shell, utc_s)
                return
        if self._renewing is not None and self._renewing.is_idle():
            self._renewing.unload()
            self._renewing = None

    async def _connect(self, shell) -> None:
        config, at = self._config, self._brokers.at
        is_first = at == self._brokers.first
        host, port = split_address(at)
        name = None
        if config.tls:
            name = config.tls["server_name"] if is_first else host
            renewing = self._need_renewing() if self._tls is None else None
            if renewing is not None:
                self._tls = renewing.open()
            gc.collect()  # a handshake wants its heap in one piece
        try:
            await shell.connect(host, port, self._tls, name)
        except Exception as error:
            renewing = self._need_renewing() if shell.reached else self._renewing
            if renewing is not None and is_first:
                renewing.tried(shell.reached, error)
            raise
        if self._renewing is not None:
            self._renewing.welcomed()

    async def _read(self, shell) -> None:
        try:
            await shell.run()
        except Exception as error:
            self._lost = error
        self._news.set()

    async def _follow(self, shell, epochs: list) -> list:
        """Subscribe to the epochs that the link wants now; return them."""
        if self._link.reread:
            self._link.reread = False
            await shell.subscribe((self._base + "owner", 1))
        wanted = self._link.epochs
        for epoch in wanted:
            if epoch not in epochs:
                await shell.subscribe((self._down(epoch), 1))
        for epoch in epochs:
            if epoch not in wanted:
                await shell.unsubscribe(self._down(epoch))
        return wanted

    async def _send(self, shell) -> None:
        """Publish what the link has, or wait for news."""
        now_ms = self._uptime_ms()
        self._commands.poll(now_ms)
        self._news.clear()
        out = self._link.poll(now_ms)
        if out is None:
            try:
                await asyncio.wait_for(self._news.wait(), 0.5)
            except asyncio.TimeoutError:
                pass
            return
        epoch, payload = out
        topic = self._base + "hello" if epoch == 0 else self._base + str(epoch) + "/up"
        await shell.publish(topic, payload)
        if epoch:
            self._back_off.reset()

    def _down(self, epoch: int) -> str:
        return self._base + str(epoch) + "/down"

    def _on_message(self, message) -> None:
        now_ms = self._uptime_ms()
        rest = message.topic[len(self._base) :]
        event = None
        if rest == "owner":
            event = self._link.receive_owner(bytes(message.payload), now_ms)
        elif rest.endswith("/down"):
            event = self._link.receive(
                int(rest[:-5]), bytes(message.payload), now_ms, bool(message.retain),
                bool(message.dup),
            )  # fmt: skip
        elif rest == "renewed" and self._renewing is not None:
            reason = self._renewing.receive(bytes(message.payload))
            if reason is not None:
                self._link.count(reason)
        if event is not None:
            self._commands.handle(event)
        self._news.set()
