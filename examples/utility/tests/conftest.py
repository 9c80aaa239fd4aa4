"""The utility as a process on loopback, and a customer: the twin's own agent over its HTTP client."""

import asyncio
import contextlib
import importlib.util
import itertools
import json
import random
import socket
import ssl
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from city_grid import control
from meter_pki.authority import Authority
from meter_pki.identities import Identity
from meter_twin.demand_response.event_book import Opt
from meter_twin.http_client import HttpClient, HttpClientError
from meter_twin.http_url import parse_url
from meter_twin.openadr2.agent import Agency, Agent

PATIENCE_S = 100
SIGNALS = frozenset({"SIMPLE", "ELECTRICITY_PRICE"})
CONTEXTS = frozenset({"http://city-grid.example/peak", "http://city-grid.example/prices"})


async def until(found, what):
    """Wait until `found()` is true, and return it; it may be a coroutine function."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        value = found()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"waited for {what}"
        await asyncio.sleep(0.05)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Utility:
    """One with its own CA and customers; `start` and `stop` may be repeated."""

    def __init__(self, folder, credentials):
        self.folder = folder
        self._find_fingerprint = credentials.find_fingerprint
        self.port, self.control_port = free_port(), free_port()
        self._authority = Authority.create(datetime.now(UTC), "A utility's CA")
        self._write("ca.crt", self._authority.certificate_pem)
        self._issue("server", Identity("city-grid", "", ("127.0.0.1",), server=True))
        self._process = None
        self.vens = {}
        self.settings = {
            "host": "127.0.0.1",
            "port": self.port,
            "control_port": self.control_port,
            "poll_s": 1,
            "certificate": str(folder / "server.crt"),
            "key": str(folder / "server.key"),
            "ca": str(folder / "ca.crt"),
            "vens": str(folder / "vens.json"),
        }

    def _write(self, name, content):
        (self.folder / name).write_bytes(content)

    def _issue(self, file, identity):
        bundle = self._authority.issue(identity, datetime.now(UTC))
        self._write(f"{file}.crt", bundle.certificate)
        self._write(f"{file}.key", bundle.key)
        return bundle.certificate

    def enrol(self, name):
        """Give a customer a certificate and put it on the list, for the next start."""
        self.vens[name] = self._find_fingerprint(self._issue(name, Identity(name)))

    def context(self, name):
        """Return the TLS of a customer."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        context.load_cert_chain(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        return context

    async def start(self, **settings):
        self._write("vens.json", json.dumps(self.vens).encode())
        self._write("settings.json", json.dumps(self.settings | settings).encode())
        command = [sys.executable, "-m", "city_grid", "serve", "--settings"]
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, str(self.folder / "settings.json"), stderr=log
            )
        await until(self._serves, "the utility")

    def _serves(self):
        assert self._process.returncode is None, self.read_log()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True

    async def stop(self):
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            async with asyncio.timeout(20):
                assert await self._process.wait() == 0

    def read_log(self):
        return (self.folder / "log").read_text()

    async def ask(self, method, path, body=None):
        return await asyncio.to_thread(control.ask, self.control_port, method, path, body)

    async def state(self):
        return await self.ask("GET", "/state")

    async def peak(self, **body):
        asked = {"level": 2, "starts_in_s": 0, "seconds": 300, "vens": None} | body
        return (await self.ask("POST", "/events", asked))["id"]

    async def find_opt(self, event_id, name="house-1"):
        events = (await self.state())["events"]
        (found,) = [one for one in events if one["id"] == event_id]
        return found["opts"].get(name)


class Customer:
    """A twin's agent, run as the twin runs it; `decided` is what it answers to new events."""

    def __init__(self, utility, name="house-1", memory=None, certificate_of=None):
        prefix, numbers = f"c{random.getrandbits(32):08x}", itertools.count(1)
        agency = Agency(name, name, SIGNALS, CONTEXTS)
        self.agent = Agent(
            agency, lambda *_: self.decided, lambda: f"{prefix}-{next(numbers)}", memory
        )
        self.decided = Opt(True)
        tls = utility.context(certificate_of or name)
        url = f"https://127.0.0.1:{utility.port}/OpenADR2/Simple/2.0b"
        self._client = HttpClient(parse_url(url), lambda: tls)

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._client.close()

    async def _run(self):
        while True:
            question = self.agent.find_next(int(time.time()))
            if question is None:
                await asyncio.sleep(0.05)
                continue
            body, headers = question.body.encode(), {"content-type": "application/xml"}
            try:
                answer = await self._client.ask("POST", f"/{question.service}", body, headers)
            except HttpClientError as error:
                self.agent.fail(error.reason, str(error), int(time.time()), 0.0)
            else:
                self.agent.take(answer.status, answer.body, int(time.time()), 0.0)

    def find(self, event_id):
        return self.agent.book.find(event_id)

    async def until(self, found, what):
        def look():
            assert not self._task.done(), self._task.exception()
            return found()

        return await until(look, what)


@pytest.fixture(scope="session")
def credentials():
    """Return the script that makes credentials, as a module."""
    path = Path(__file__).resolve().parents[1] / "credentials.py"
    spec = importlib.util.spec_from_file_location("utility_credentials", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def utility(tmp_path, credentials):
    """Return a utility with house-1 and house-2 as its customers, not yet started."""
    made = Utility(tmp_path, credentials)
    for name in ("house-1", "house-2"):
        made.enrol(name)
    yield made
    await made.stop()


@pytest.fixture
def customer(utility):
    """Return what makes a customer of that utility."""
    return lambda *arguments, **more: Customer(utility, *arguments, **more)
