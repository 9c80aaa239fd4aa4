"""Starts openleadr-rs' VTN and its PostgreSQL on loopback, and drives an agent over real HTTP.

PostgreSQL refuses to run as root, as tests in containers do; it then runs in a user namespace of its
own, in which it is somebody else and its files still belong to it.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

from fake_vtn import make
from meter_twin.demand_response.event_book import Opt
from meter_twin.http_client import HttpClient, HttpClientError
from meter_twin.http_url import parse_url
from meter_twin.utility_client import UtilityClient

INSTALL = Path(__file__).parents[3] / "tools" / "openadr3" / "install.py"
PATIENCE_S = 60
KEY = bytes(range(32))
SCOPES = [
    "read_targets",
    "read_ven_objects",
    "write_reports",
    "write_subscriptions_ven",
    "write_vens_ven",
]
UTILITY = "read_all write_vens_bl write_programs write_events write_users"


def install():
    """Return the VTN's program and the folder of PostgreSQL's."""
    done = subprocess.run([sys.executable, INSTALL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [Path(line) for line in done.stdout.splitlines()]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_somebody(*command):
    if os.geteuid() != 0:
        return list(command)
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000", *command]


def sign(claims):
    """Return a token of the utility's own (RFC 7515, HS256)."""

    def pack(octets):
        return base64.urlsafe_b64encode(octets).rstrip(b"=")

    head = pack(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    signed = head + b"." + pack(json.dumps(claims).encode())
    return (signed + b"." + pack(hmac.digest(KEY, signed, hashlib.sha256))).decode()


def launch(command, log, environment=None):
    with log.open("a") as file:
        return subprocess.Popen(command, cwd=log.parent, env=environment, stdout=file, stderr=file)


class Database:
    """A PostgreSQL that only a socket in its folder reaches."""

    def __init__(self, programs, folder):
        self._programs, self._folder = programs, folder
        self._process = None
        self.url = f"postgres://openadr@localhost/postgres?host={folder}"

    def start(self):
        data = self._folder / "data"
        options = ("--auth=trust", "--encoding=utf8", "--no-sync", "--username=openadr")
        subprocess.run(as_somebody(self._programs / "initdb", "-D", data, *options), check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        settings = ("listen_addresses=", f"unix_socket_directories={self._folder}", "fsync=off")
        command = [self._programs / "postgres", "-D", data]
        command += [part for one in settings for part in ("-c", one)]
        self._process = launch(as_somebody(*command), self._folder / "postgres.log")
        ends = time.monotonic() + PATIENCE_S
        ready = [self._programs / "pg_isready", "-q", "-h", self._folder]
        while subprocess.run(ready, check=False).returncode != 0:
            assert self._process.poll() is None, (self._folder / "postgres.log").read_text()
            assert time.monotonic() < ends
            time.sleep(0.05)

    def stop(self):
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)


class Vtn31:
    """The VTN, and what a utility's business logic does with it."""

    def __init__(self, program, database, folder):
        self._program, self._database, self._folder = program, database, folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        claims = {"sub": "utility", "scope": UTILITY, "exp": 1 << 33, "nbf": 0}
        self._headers = {
            "authorization": f"Bearer {sign(claims)}",
            "content-type": "application/json",
        }
        self._process = None

    async def start(self, broker_uri=""):
        environment = {
            "PORT": str(self.port),
            "DATABASE_URL": self._database.url,
            "OAUTH_BASE64_SECRET": base64.b64encode(KEY).decode(),
            "OAUTH_TOKEN_URL": f"{self.url}/auth/token",
        }
        if broker_uri:
            environment |= {"MQTT_URL": broker_uri, "MQTT_USERNAME": "vtn", "MQTT_PASSWORD": "x"}
        self._process = launch([self._program], self._folder / "vtn.log", environment)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                assert self._process.poll() is None, (self._folder / "vtn.log").read_text()
                with contextlib.suppress(HttpClientError):
                    if (await self._exchange("GET", "/health")).status == 200:
                        return
                await asyncio.sleep(0.05)

    def stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_S)

    async def _exchange(self, method, path, body=b""):
        client = HttpClient(parse_url(self.url), lambda: None)
        try:
            return await client.ask(method, path, body, self._headers)
        finally:
            await client.close()

    async def ask(self, method, path, content=None):
        body = b"" if content is None else json.dumps(content).encode()
        answer = await self._exchange(method, path, body)
        assert answer.status // 100 == 2, (method, path, answer)
        return json.loads(answer.body) if answer.body else None

    async def admit(self, client_id, secret):
        """Give a house its credentials."""
        user = await self.ask("POST", "/users", {"reference": client_id, "description": None, "scope": SCOPES})  # fmt: skip
        content = {"client_id": client_id, "client_secret": secret}
        await self.ask("POST", f"/users/{user['id']}", content)

    async def reports(self, event_id):
        return await self.ask("GET", f"/reports?eventID={event_id}")


class House:
    """An agent with the twin's HTTP client; `sent` is what it has asked."""

    def __init__(self, vtn, agency, credentials, memory=None, opt=None, bidding=None):
        agency = agency._replace(url=vtn.url)
        self.agent = make(memory, opt or Opt(True), agency, credentials, bidding)
        self.kept, self.sent, self.answers = memory, [], []
        self._client = UtilityClient(parse_url(vtn.url), lambda: None)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self._client.close()

    async def step(self, now_s, *, loses=""):
        """Ask one question; return it, None without one. The answer to `loses` never comes."""
        question = self.agent.find_next(now_s)
        if question is None:
            return None
        self.sent.append(question)
        try:
            answer = await self._client.ask(question)
        except HttpClientError as error:
            is_changed = self.agent.fail(error.reason, str(error), now_s, random.random())
        else:
            self.answers.append((question.purpose, answer.status))
            if question.purpose == loses:
                return question
            is_changed = self.agent.take(answer.status, answer.body, now_s, 0.0)
        if is_changed:
            self.kept = json.loads(json.dumps(self.agent.export()))
        return question

    async def settle(self, now_s, **more):
        """Ask all that is due at a moment, until an answer is lost."""
        for _ in range(200):
            question = await self.step(now_s, **more)
            if question is None or question.purpose == more.get("loses"):
                return
        raise AssertionError("it never stops asking")
