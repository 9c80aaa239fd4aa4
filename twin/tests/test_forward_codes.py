"""What a forward ended with, by its own name: only the EMS's word is `refused`."""

import base64
import json
import pathlib
import random
import re
from types import SimpleNamespace

import pytest
from meter_twin.api_commands import Commands
from meter_twin.http_server import ApiError, Request
from meter_wire.commands import Read
from meter_wire.effects import Answered
from meter_wire.memory import MemoryMeter
from meter_wire.owner_record import parse_owner_hello
from meter_wire.portable.keys import derive_key
from meter_wire.tables import ANSWERS
from meter_wire.twin_commands import LOCAL_CODES

REFERENCE = pathlib.Path(__file__).parents[2] / "docs/reference"
REQUEST = Request("POST", "/v1/forward", {}, json.dumps(
    {"data": base64.b64encode(b"hello").decode(), "ttl_seconds": 5}).encode(), ())  # fmt: skip


class Line:
    """What `Commands` needs of a link loop, over the link of a twin in memory.

    Without an answer time passes until the command is over.
    """

    def __init__(self, meter, epoch=1):
        self.meter, self.twin = meter, meter.twin(epoch)

    def issue(self, command, ttl_ms):
        number, effects = self.twin.link.command(command, ttl_ms, self.meter.now_ms)
        self.twin.act(effects)
        return number

    async def command(self, command, ttl_ms):
        number = self.issue(command, ttl_ms)
        self.meter.settle()
        for _ in range(12):
            for effect in self.twin.effects:
                if isinstance(effect, Answered) and effect.command == number:
                    return effect
            self.meter.now_ms += 1000
            self.twin.act(self.twin.link.poll(self.meter.now_ms))
        raise AssertionError("a command without an end")


@pytest.fixture
def meter():
    made = MemoryMeter("house-1", bytes(range(32)), random.Random(7).randbytes)
    made.send()
    hello = parse_owner_hello(made.hellos[-1], derive_key(made.key, "hello", "house-1"))
    assert made.accept(made.record(1, 1, nonce=hello.nonce))
    made.settle()
    return made


async def forward(line):
    answer = await Commands(line, lambda: True, lambda: True, {}).forward(REQUEST)
    assert answer.status == 200
    return json.loads(answer.body)["code"]


async def test_with_32_commands_under_way_a_forward_says_twin_busy(meter):
    line = Line(meter)
    for _ in range(32):
        line.issue(Read(), 5000)
    assert await forward(line) == "twin_busy"


async def test_a_meter_that_does_not_take_the_twin_as_active_says_not_active(meter):
    assert meter.accept(meter.record(2, 1, candidate=2))
    meter.run(10)
    assert meter.twin(2).link.is_open
    assert await forward(Line(meter, 2)) == "not_active"


async def test_without_an_answer_nothing_is_known_so_it_does_not_say_expired(meter):
    assert await forward(Line(meter)) == "timeout"


async def test_refused_is_only_what_the_meter_answered_with_refused():
    async def end(code):
        async def command(_command, _ttl_ms):
            return Answered(1, code)

        return await forward(SimpleNamespace(command=command))

    codes = [*(row.name for row in ANSWERS), *sorted(LOCAL_CODES), "77"]
    ends = {code: await end(code) for code in codes}
    assert [code for code in ends if ends[code] == "refused"] == ["refused"]
    assert (ends["ok"], ends["absent"], ends["77"]) == ("delivered", "ems_absent", "77")
    assert documented() == {end for end in ends.values() if end not in NEVER}


# Of a forward these come from a broken or foreign meter only: the number of a command is new, a
# forward needs no order and has no bounds.
NEVER = {"repeated", "unsigned", "out_of_range", "77"}


def documented():
    """Return the codes of ems-port.md, which are those of twin-api.md too."""
    page = (REFERENCE / "ems-port.md").read_text().partition("## What the twin is told")[2]
    found = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) - {"code"}
    api = (REFERENCE / "twin-api.md").read_text().partition("### `POST /v1/forward`")[2]
    row = re.search(r"^\| `code` \|(.*)\|$", api, re.MULTILINE)[1]
    assert set(re.findall(r"`(\w+)`", row)) == found
    return found


class Deaf:
    """A line that carries everything and hears `ok`."""

    async def command(self, _command, _ttl_ms):
        return Answered(1, "ok")


async def test_a_twin_that_took_over_forwards_nothing_yet_but_limits_loads():
    commands = Commands(Deaf(), lambda: True, lambda: False, {})
    with pytest.raises(ApiError) as caught:
        await commands.forward(REQUEST)
    assert caught.value.document["error"]["remedy"].startswith("try again in two minutes")
    body = json.dumps({"limit_w": 0, "seconds": 60}).encode()
    answer = await commands.load(Request("POST", "/v1/load", {}, body, ()))
    assert (answer.status, json.loads(answer.body)) == (200, {"code": "ok"})
