"""A twin as a process, a utility of OpenADR 3.1 and its MQTT broker: who is told acts at once.

The VTN is the one in memory, its broker a real Mosquitto; polls are thirty seconds apart.
"""

import asyncio
import contextlib
import json
import shutil
import time

import pytest
from fake_vtn import CLIENT, SECRET, FakeVtn, describe_event
from test_over_http31 import Served
from vtn_broker import VtnBroker

pytestmark = pytest.mark.timeout(300)
APPLICATIONS = {"metering-data": {}, "demand-response": {"ratedWatts": 3000, "highWatts": 900}}
SOON_S = 6
"""It is two seconds as a rule; a poll would be up to thirty, and these machines are busy."""
TOKEN = "token-of-house-1"


class TokenVtn(FakeVtn):
    """Its token is known to its broker."""

    def issue(self, question):
        super().issue(question)
        self.tokens.add(TOKEN)
        return 200, json.dumps({"access_token": TOKEN, "expires_in": 3600}).encode()


class Street:
    """A VTN with a broker, a twin that listens there, a meter whose load it limits."""

    def __init__(self, world, tools, served, broker, method):
        self.world, self.tools, self.vtn, self.broker = world, tools, served.vtn, broker
        self.vtn.broker = {
            "URIS": [broker.uri],
            "serialization": "JSON",
            "authentication": {"method": method, "username": "{clientID}"},
        }
        world.start_broker()
        folder = world.folder / "utility"
        folder.mkdir()
        (folder / "client_id").write_text(CLIENT)
        (folder / "client_secret").write_text(SECRET)
        for source, name in (
            ("ca.crt", "ca.crt"),
            ("meter.crt", "tls.crt"),
            ("meter.key", "tls.key"),
        ):
            shutil.copy(world.folder / source, folder / name)
        (folder / "utility.json").write_text(
            json.dumps({"protocol": "openadr-3", "url": served.url})
        )
        configuration = world.configuration(
            applications=APPLICATIONS, utility={"name": "city-grid", "venName": "house-1"}
        )
        configuration["paths"]["utility"] = str(folder)
        self.twin = world.start_twin(configuration)
        self.meter = tools.Meter(world)

    def ask(self):
        return self.twin.get("/v1/dr")[1]

    def heard(self):
        return self.ask()["notifications"] or {"listening": False, "broker": None}

    @property
    def topic(self):
        (ven,) = self.vtn.objects["vens"]
        return f"vens/{ven['id']}/events/create"

    async def listens(self):
        await self.tools.eventually(lambda: self.heard()["listening"], "it listens")

    async def add_peak(self, *, is_told=True):
        """Create an event that is in force; return how long it took until the load was limited."""
        count = len(self.meter.loads)
        row = self.vtn.add("events", describe_event(start_s=int(time.time()) - 5, span="PT10M"))
        begun = time.monotonic()
        if is_told:
            await self.broker.say(
                self.topic, {"objectType": "EVENT", "operation": "CREATE", "object": row}
            )
        await self.tools.eventually(lambda: len(self.meter.loads) > count, "the load is limited")
        return time.monotonic() - begun


@contextlib.asynccontextmanager
async def living(world, tools, method="ANONYMOUS", **broker):
    async with Served(TokenVtn(int(time.time()))) as served:
        made = VtnBroker(world.folder / "vtn-broker", **broker)
        street = Street(world, tools, served, made, method)
        try:
            await asyncio.to_thread(street.twin.wait_serving)
            street.meter.power_on()
            await world.operate()
            yield street
            await street.meter.power_off()
            assert served.vtn.complaints == []
        finally:
            made.kill()


@pytest.mark.parametrize("method", ["ANONYMOUS", "OAUTH2_BEARER_TOKEN", "CERTIFICATE"])
async def test_an_event_that_is_told_is_acted_on_at_once(world, tools, method):
    kinds = {
        "ANONYMOUS": {},
        "OAUTH2_BEARER_TOKEN": {"tls": world.folder, "users": {CLIENT: TOKEN}},
        "CERTIFICATE": {"tls": world.folder, "wants_certificate": True},
    }
    async with living(world, tools, method, **kinds[method]) as street:
        await street.listens()
        await asyncio.sleep(5)  # the look that follows the session is over
        assert await street.add_peak() < SOON_S
        assert street.heard()["heard"] == 1
        assert TOKEN not in street.twin.log
        assert SECRET not in street.twin.log
        assert TOKEN not in json.dumps(street.ask())


async def test_a_broker_that_dies_comes_back_and_the_polls_go_on(world, tools):
    async with living(world, tools) as street:
        await street.listens()
        street.broker.kill()
        await tools.eventually(lambda: not street.heard()["listening"], "it has seen it")
        assert street.ask()["reason"] == "Registered"
        await street.add_peak(is_told=False)
        street.broker.start()
        await street.listens()
        (row,) = street.vtn.objects["events"]
        street.vtn.remove("events", row)
        await street.broker.say(
            street.topic, {"objectType": "EVENT", "operation": "DELETE", "ID": row["id"]}
        )
        await tools.eventually(lambda: street.meter.loads[-1][3] == 1, "the limit is lifted")
        assert street.heard()["losses"] == 1


async def test_junk_is_counted_and_a_flood_ends_the_session_and_nothing_else(world, tools):
    async with living(world, tools) as street:
        await street.listens()
        for junk in (b"", b"{", b"\xff" * 100, b"x" * 60_000, {"objectType": "EVENT"}):
            await street.broker.say(street.topic, junk)
        await street.broker.say(
            street.topic, {"objectType": "EVENT", "operation": "CREATE"}, retain=True
        )
        await tools.eventually(lambda: street.heard()["junk"] == 5, "it counts")
        await street.broker.say(street.topic, b"x" * 70_000)
        await tools.eventually(lambda: street.heard()["losses"] == 1, "too long: it hangs up")
        await street.listens()
        await tools.eventually(lambda: street.heard()["retained"] == 1, "old news")
        said = {"objectType": "EVENT", "operation": "UPDATE", "ID": "e"}
        asked = len([one for one in street.vtn.log if one.path.startswith("/events")])
        begun = time.monotonic()
        await street.broker.say(street.topic, said, times=3000)
        await tools.eventually(lambda: street.heard()["floods"] == 1, "it hangs up")
        assert not street.heard()["listening"]
        await asyncio.sleep(3)
        polls = len([one for one in street.vtn.log if one.path.startswith("/events")]) - asked
        assert polls <= 2 + (time.monotonic() - begun) / 3
        assert street.ask()["reason"] == "Registered"
        assert street.twin.get("/readyz", world.plain)[0] == 200
        await street.add_peak(is_told=False)


async def test_a_twin_without_the_authority_listens_no_longer(world, tools):
    async with living(world, tools) as street:
        await street.listens()
        await world.operate("frozen", counter=2)
        await tools.eventually(lambda: not street.heard()["listening"], "it hangs up")
        await world.operate("active", counter=3)
        await street.listens()


async def test_a_vtn_without_a_broker_loads_no_listener(world, tools):
    async with living(world, tools) as street:
        street.vtn.broker = None
        await tools.eventually(lambda: street.ask()["registered"], "it is registered")
        assert street.heard()["broker"] == ""
