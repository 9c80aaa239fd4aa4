"""The broker of a VTN: a real Mosquitto, open, with a user and token, or with certificates."""

import asyncio
import contextlib
import json
import shutil
import subprocess
import time

import pytest
from loopback import free_ports
from meter_twin.mqtt_shell import BrokerSettings, MqttShell

PUBLISHER = "vtn"


class VtnBroker:
    """`tls`: the folder of ca.crt, server.crt and server.key; `users`: names and passwords."""

    def __init__(self, folder, tls=None, users=None, *, wants_certificate=False):
        self._program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        if self._program is None:
            pytest.skip("mosquitto is missing: apt-get install mosquitto")
        self.port, self._own = free_ports(2)
        self._folder = folder
        folder.mkdir()
        lines = ["user root", "per_listener_settings true"]
        lines += [f"listener {self._own} 127.0.0.1", "allow_anonymous true", "set_tcp_nodelay true"]
        lines += [f"listener {self.port} 127.0.0.1", "log_type all"]
        if users is not None:
            self._write_users(users)
            lines += [f"password_file {folder}/users", "allow_anonymous false"]
        elif wants_certificate:
            lines += ["require_certificate true", "use_identity_as_username true"]
        else:
            lines += ["allow_anonymous true"]
        if tls is not None:
            lines += [f"cafile {tls}/ca.crt", f"certfile {tls}/server.crt"]
            lines += [f"keyfile {tls}/server.key"]
        self.uri = f"mqtt{'' if tls is None else 's'}://127.0.0.1:{self.port}"
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self.process = None
        self.start()

    def _write_users(self, users):
        path = self._folder / "users"
        path.write_text("")
        path.chmod(0o600)
        for name, password in users.items():
            subprocess.run(
                ["mosquitto_passwd", "-b", path, name, password], check=True, capture_output=True
            )

    @property
    def log(self):
        return (self._folder / "log").read_text()

    def start(self):
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._program, "-c", self._folder / "mosquitto.conf"], stdout=log, stderr=log
            )
        time.sleep(0.3)
        assert self.process.poll() is None, self.log

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def listeners(self):
        """Return how often somebody has subscribed."""
        return self.log.count("Received SUBSCRIBE")

    @contextlib.asynccontextmanager
    async def publisher(self):
        """A session of the VTN's; the listener for it is open."""

        async def ignore(_message):
            return None

        settings = BrokerSettings("127.0.0.1", self._own, PUBLISHER, max_packet=1 << 20)
        shell = MqttShell(settings, ignore)
        task = asyncio.create_task(shell.run())
        try:
            await asyncio.wait_for(shell.connected.wait(), 20)
            yield shell
        finally:
            await shell.close()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def say(self, topic, payload, *, retain=False, times=1):
        """Publish something, so often."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        async with self.publisher() as shell:
            for _ in range(times):
                await shell.publish(topic, body, 0, retain=retain)
            await shell.publish("done", b"", 1)
