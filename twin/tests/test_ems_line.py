"""A home's energy management over the broker: whole twins, Mosquitto with the chart's rules, a VTN.

The home is examples/ems as a process, which knows nothing of ours; where a test needs words that it
would not say, they come from a client with its certificate.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from meter_twin.ems_desk import EmsDesk
from meter_twin.ems_line import EmsLine
from meter_twin.ems_topics import MOST_MESSAGES, MOST_OCTETS, PERIOD_MS
from meter_wire.control import sign_record
from meter_wire.portable.keys import derive_key
from vtn_process import VtnProcess

pytestmark = pytest.mark.timeout(300)
ROOT = pathlib.Path(__file__).parents[2]
VEN_ID = "ven-of-house-1"
APPLICATIONS = {
    "metering-data": {},
    "demand-response": {"through": "ems", "highWatts": 900},
    "pricing": {"edgeSpreadSeconds": 0},
}
STATE = {"devices": [{"id": "wallbox", "kind": "ev", "watts": 3700}], "reaction": "it charges"}
PLAN, ANSWER = "ems/to/house-1/1/Reader.home-1/plan", "ems/to/house-1/1/Reader.home-1/answer"
SAY = "ems/from/Reader.home-1/house-1/1/"


@pytest.fixture
async def street(world, tools):
    """Return a VTN, a twin of epoch 1 that has authority, and its configuration."""
    world.issue("home", "Reader.home-1", "URI:urn:metertwin:reader:home-1")
    async with VtnProcess() as vtn:
        world.start_broker()
        configuration = configure(world, vtn)
        twin = world.start_twin(configuration)
        await asyncio.to_thread(twin.wait_serving)
        meter = tools.Meter(world)
        meter.power_on()
        await world.operate()
        await vtn.until("registered")
        yield vtn, twin, meter
        await meter.power_off()


def configure(world, vtn, **changes):
    folder = world.folder / "utility"
    folder.mkdir(exist_ok=True)
    address = {"protocol": "openadr-2.0b", "url": vtn.url()}
    (folder / "utility.json").write_text(json.dumps(address))
    found = world.configuration(
        applications=APPLICATIONS,
        utility={"name": "city-grid", "venName": "house-1"},
        ems={"name": "home-1"},
        **changes,
    )
    found["paths"]["utility"] = str(folder)
    return found


def peak(seconds=600):
    start_s = int(time.time()) - 5
    return {
        "do": "event",
        "ven_id": VEN_ID,
        "event_id": "peak-1",
        "value": 2,
        "start_s": start_s,
        "duration_s": seconds,
    }


class Home:
    """examples/ems as a process."""

    def __init__(self, world):
        folder = world.folder / "home"
        folder.mkdir()
        pairs = ("ca.crt", "ca.crt"), ("home.crt", "tls.crt"), ("home.key", "tls.key")
        for source, name in pairs:
            shutil.copy(world.folder / source, folder / name)
        command = [sys.executable, "-m", "home_ems", "--device", "house-1", "--period", "2"]
        command += ["--mqtt", f"127.0.0.1:{world.broker_port}", "--user", "Reader.home-1"]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "examples/ems/src")}
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--certificates", str(folder)], env=environment, stdout=log, stderr=log
            )

    @property
    def lines(self):
        return self._log.read_text().splitlines()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) == 0


@pytest.fixture
def home(world):
    started = []

    def start():
        started.append(Home(world))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def shown(twin):
    return twin.get("/v1/ems")[1]


def reaction(twin):
    return (shown(twin)["state"] or {}).get("reaction", "")


async def test_a_home_reacts_to_a_peak_and_goes_on_when_its_twin_is_replaced(
    street, world, tools, home
):
    vtn, twin, _ = street
    started = home()
    await tools.eventually(lambda: reaction(twin) == "nothing is asked", "it tells what it does")
    vtn.say(**peak())
    await tools.eventually(lambda: reaction(twin) == "a peak: no more than 900 W", "it reacts")
    drawn = sum(one["watts"] for one in shown(twin)["state"]["devices"])
    assert drawn <= 900
    reacted = next(at for at, line in enumerate(started.lines) if "a peak" in line)

    twin.kill()
    world.issue_twin(2)
    second = "ab" * 16
    configuration = configure(world, vtn, epoch=2, epoch_id=bytes.fromhex(second))
    configuration["paths"]["store"] = str(world.folder / "second.db")
    successor = world.start_twin(configuration)
    await asyncio.to_thread(successor.wait_serving)
    record = {"epoch": 2, "epochId": second, "state": "active", "term": 1, "counter": 2}
    key = derive_key(tools.K_METER, "ctl", "house-1", 2, bytes.fromhex(second))
    async with world.client("operator", "Operator.metertwin") as operator:
        await operator.connected.wait()
        signed = json.dumps(sign_record(record, key)).encode()
        await operator.publish("mt/house-1/2/ctl", signed, retain=True)
    await tools.eventually(
        lambda: reaction(successor) == "a peak: no more than 900 W", "it tells the new twin"
    )
    assert started.process.poll() is None
    assert all("a peak" in line for line in started.lines[reacted:]), started.lines


@contextlib.asynccontextmanager
async def listen(world):
    """Return (shell, messages) of a client with the home's certificate."""
    messages = []

    async def take(message):
        messages.append((message.topic, json.loads(message.payload), bool(message.retain)))

    topics = "ems/to/house-1/+/Reader.home-1/plan", "ems/to/house-1/+/Reader.home-1/answer"
    async with world.client("home", "Reader.home-1", take, topics) as shell:
        await shell.connected.wait()
        yield shell, messages


def find(messages, topic):
    return [document for where, document, _ in messages if where == topic]


async def test_another_plan_is_told_at_once_and_nothing_of_it_stays_at_the_broker(
    street, world, tools
):
    vtn, _, _ = street
    async with listen(world) as (_, messages):
        vtn.say(**peak())
        limits = lambda: [one["limit"] for one in find(messages, PLAN)]  # noqa: E731
        await tools.eventually(lambda: any(limits()), "the limit is told", 30)
        assert limits()[-1]["watts"] == 900
        vtn.say(do="cancel", ven_id=VEN_ID, event_id="peak-1")
        await tools.eventually(lambda: limits()[-1] is None, "its end is told", 30)
        assert not any(retained for _, _, retained in messages)


async def test_only_a_twin_with_authority_speaks(street, world, tools):
    _, twin, _ = street
    await world.operate("frozen", counter=2)
    await tools.eventually(lambda: not twin.get("/v1/status")[1]["authority"], "it is frozen")
    async with listen(world) as (shell, messages):
        await shell.publish(SAY + "override", b"{}")
        await tools.eventually(lambda: shown(twin)["refused"] == {"content": 1}, "it was heard")
        await asyncio.sleep(5)
        assert messages == []
        await world.operate("active", counter=3)
        await tools.eventually(lambda: find(messages, PLAN), "it speaks again")
        assert find(messages, ANSWER) == [], "what was asked of a silent twin is not answered later"


async def test_what_is_wrong_is_answered_with_its_field_and_the_word_before_stays(
    street, world, tools
):
    _, twin, _ = street
    async with listen(world) as (shell, messages):
        await shell.publish(SAY + "state", json.dumps(STATE).encode())
        await tools.eventually(lambda: shown(twin)["state"], "it is heard")
        wrong = {"devices": [{"id": "wallbox", "kind": "toaster"}]}
        long = b" " * MOST_OCTETS + b"{}"
        for payload in (json.dumps(wrong).encode(), b"{", long):
            await shell.publish(SAY + "state", payload)
        await shell.publish(SAY + "state", b"{}", retain=True)
        await tools.eventually(lambda: len(find(messages, ANSWER)) == 3, "it is told")
        fields = [one["error"]["field"] for one in find(messages, ANSWER)]
        assert fields == ["body.devices[0].kind", "body", "body"]
        assert {one["to"] for one in find(messages, ANSWER)} == {"state"}
        assert shown(twin)["refused"] == {"content": 2, "size": 1}
        assert shown(twin)["state"]["reaction"] == "", "one that the broker will keep is live now"


async def test_what_the_broker_kept_is_refused(street, world, tools):
    vtn, twin, _ = street
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    async with listen(world) as (shell, messages):
        override = json.dumps({"until": until}).encode()
        await shell.publish(SAY + "override", override, retain=True)
        await tools.eventually(lambda: find(messages, ANSWER), "it is heard")
        assert find(messages, ANSWER) == [{"to": "override", "until": until}]
        await shell.publish(SAY + "override", b'{"until": ""}')
        await tools.eventually(lambda: len(find(messages, ANSWER)) == 2, "it is ended")
        twin.kill()
        again = world.start_twin(configure(world, vtn))
        await asyncio.to_thread(again.wait_serving)
        await tools.eventually(lambda: shown(again)["refused"] == {"retained": 1}, "it comes again")
    assert again.get("/v1/dr")[1]["override_until"] is None


async def test_an_override_lifts_the_limit_and_is_answered(street, world, tools):
    vtn, twin, _ = street
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    async with listen(world) as (shell, messages):
        vtn.say(**peak())
        await tools.eventually(lambda: find(messages, PLAN)[-1:] and find(messages, PLAN)[-1]["limit"], "the limit is told")  # fmt: skip
        await shell.publish(SAY + "override", json.dumps({"until": until}).encode())
        await tools.eventually(lambda: find(messages, ANSWER), "it is answered")
        assert find(messages, ANSWER) == [{"to": "override", "until": until}]
        await tools.eventually(lambda: find(messages, PLAN)[-1]["limit"] is None, "it is lifted")
        assert twin.get("/v1/dr")[1]["override_until"] == until


async def test_a_home_that_says_too_much_neither_stops_the_link_nor_is_heard(street, world, tools):
    _, twin, meter = street
    async with listen(world) as (shell, _):
        flood = asyncio.create_task(say_without_end(shell))
        await tools.eventually(lambda: shown(twin)["refused"].get("rate"), "it is too much")
        for minute in range(20):
            meter.append(tools.reading(1_781_400_000 + 60 * minute, minute))
        await tools.eventually(lambda: meter.ring.stored == 20, "readings are stored")
        flood.cancel()
    heard = sum(shown(twin)["refused"].values())
    assert heard > MOST_MESSAGES
    assert "broker session lost" not in twin.log


async def say_without_end(shell):
    while True:
        await shell.publish(SAY + "state", b"{", qos=0)
        await asyncio.sleep(0)


class MemoryBroker:
    """What a line does with its session."""

    def __init__(self, *, refuses=""):
        self.connected = asyncio.Event()
        self.connected.set()
        self.topics, self.said, self.tries = set(), [], 0
        self._refuses = refuses

    async def subscribe(self, topic, *, is_lasting):
        assert not is_lasting, "else a broker that refuses it ends every session to come"
        self.tries += 1
        if self._refuses and topic.endswith(self._refuses):
            raise PermissionError(topic)
        self.topics.add(topic)

    async def unsubscribe(self, topic):
        self.topics.discard(topic)

    async def publish(self, topic, payload):
        self.said.append((topic, json.loads(payload)))


def build_line(broker):
    plan = {"issued": "i", "valid_until": "v", "limit": None, "events": [], "prices": []}
    configuration = SimpleNamespace(device="house-1", epoch=1, ems_name="home-1")
    return EmsLine(configuration, broker, EmsDesk(lambda: plan, lambda _: False), lambda: plan)


async def test_a_broker_that_refuses_the_topics_is_asked_once_a_session_and_plans_go_on():
    broker = MemoryBroker(refuses="override")
    line = build_line(broker)
    await line._step()
    await line._step()
    assert (broker.tries, [topic for topic, _ in broker.said]) == (2, [PLAN])
    assert broker.topics == set(), "half of them is of no use, and nothing would limit it"
    line.connected()
    await line._step()
    assert broker.tries == 4


def test_whatever_goes_wrong_in_a_word_is_counted_and_the_link_goes_on(capsys):
    line = build_line(MemoryBroker())

    def fail(_):
        raise OverflowError("a date that no calendar has")

    line._desk.take_override = fail
    line.receive(SimpleNamespace(topic=SAY + "override", payload=b"{}", retain=0))
    assert line._desk.refused == {"error": 1}
    assert "OverflowError" in capsys.readouterr().err


async def test_who_says_too_much_is_listened_to_again_after_a_while(monkeypatch):
    now = [1_000_000]
    monkeypatch.setattr("meter_twin.ems_line.now_ms", lambda: now[0])
    broker = MemoryBroker()
    line = build_line(broker)
    await line._step()
    topics = {SAY + "state", SAY + "override"}
    assert broker.topics == topics
    for _ in range(MOST_MESSAGES + 1):
        line.receive(SimpleNamespace(topic=SAY + "state", payload=b"{}", retain=0))
    await line._step()
    assert broker.topics == set()
    now[0] += PERIOD_MS
    await line._step()
    assert broker.topics == topics


def test_a_twin_without_an_energy_management_has_nothing_of_it():
    names = [f"meter_twin.ems_{one}" for one in ("desk", "line", "topics")]
    program = "import sys, meter_twin.shell; print({*sys.argv[1:]} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program, *names], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
