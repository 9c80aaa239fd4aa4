"""Starts openleadr's VTN, listens to what it tells, and drives a VEN against it over real HTTP."""

import asyncio
import contextlib
import itertools
import json
import random
import socket
import sys
import time
from pathlib import Path

from meter_twin.http_client import HttpClientError
from meter_twin.http_url import parse_url
from meter_twin.openadr2.ven import Ven
from meter_twin.utility_client import UtilityClient

SCRIPT = Path(__file__).parent / "openleadr_vtn.py"
PATIENCE_S = 150


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class VtnProcess:
    """A VTN; `told` is all that it has said."""

    def __init__(self, **settings):
        self.settings = {"port": free_port()} | settings
        self.told = []
        self._process = None

    async def __aenter__(self):
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(SCRIPT), json.dumps(self.settings)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._listening = asyncio.create_task(self._listen())
        await self.until("ready")
        return self

    async def __aexit__(self, *_):
        await self.kill()

    async def kill(self):
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._listening

    async def _listen(self):
        while line := await self._process.stdout.readline():
            with contextlib.suppress(ValueError):
                self.told.append(json.loads(line))

    def say(self, **command):
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    def find(self, kind):
        return [one[kind] for one in self.told if kind in one]

    async def until(self, kind, count=1):
        async with asyncio.timeout(PATIENCE_S):
            while len(self.find(kind)) < count:
                assert self._process.returncode is None, "the VTN has ended"
                await asyncio.sleep(0.02)
        return self.find(kind)

    def url(self, scheme="http"):
        return f"{scheme}://127.0.0.1:{self.settings['port']}/OpenADR2/Simple/2.0b"


class VenDriver:
    """Awaits and does what a VEN says; `happened` is all that came of it, `sent` what was posted."""

    def __init__(self, url, registration=None, offers=(), tls=None, on=None, valid=None, sign=None):
        numbers = itertools.count(1)
        prefix = f"{random.getrandbits(32):08x}"
        self.ven = Ven(
            *("house-1", offers, lambda: f"{prefix}-{next(numbers)}", registration),
            signs=sign is not None,
        )
        self.client = UtilityClient(parse_url(url), lambda: tls)
        if sign:
            self.client = sign(self.client)
        self.happened = []
        self.sent = []
        self._on = on or (lambda _ven, _one: None)
        self._valid = valid

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self.client.close()

    async def _run(self):
        while True:
            question = self.ven.find_next(int(time.time()))
            if question is None:
                await asyncio.sleep(0.05)
                continue
            if self._valid:
                self._valid(question.body)
            self.sent.append(question)
            try:
                answer = await self.client.ask(question)
            except HttpClientError as error:
                found = self.ven.fail(error.reason, str(error), int(time.time()), 0.0)
            else:
                found = self.ven.take(answer.status, answer.body, int(time.time()), 0.0)
            for one in found:
                self.happened.append(one)
                self._on(self.ven, one)

    async def until(self, kind, count=1):
        deadline = time.monotonic() + PATIENCE_S
        while len(found := [one for one in self.happened if isinstance(one, kind)]) < count:
            assert not self._task.done(), self._task.exception()
            said = [one.purpose for one in self.sent]
            assert time.monotonic() < deadline, f"{kind.__name__} of {self.happened}, sent {said}"
            await asyncio.sleep(0.02)
        return found
