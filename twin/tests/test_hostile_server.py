"""A whole twin whose VTN sends bombs: its memory is bounded, and metering goes on meanwhile."""

import asyncio
import contextlib
import json
import pathlib
import time

import pytest
from meter_twin.openadr2.message_codec import build_message, write_message, write_response
from meter_twin.openadr2.xml_codec import MOST_DEPTH, MOST_ELEMENTS, write_element, write_text

pytestmark = pytest.mark.timeout(300)
MIB = 1 << 20
MOST_GROWTH_MIB = 40
"""Of the resident memory at its peak; 25 were seen: a body of 1 MiB, and what expat makes of it."""
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\n"
LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (level, b"&l%d;" % (level - 1) * 10) for level in range(1, 10)
)


def answer(body):
    return HEAD + b"content-length: %d\r\n\r\n" % len(body) + body


REGISTERED = answer(
    build_message(
        write_message(
            "oadrCreatedPartyRegistration",
            write_response(200, "OK", "q"),
            write_text("ei:registrationID", "reg-1"),
            write_text("ei:venID", "ven-1"),
            write_element("oadr:oadrRequestedOadrPollFreq", write_text("xcal:duration", "PT1S")),
        )
    ).encode()
)
OFFERED = write_message("oadrRegisteredReport", write_response(200, "OK", "q"))
GOOD = {b"EiRegisterParty": REGISTERED, b"EiReport": answer(build_message(OFFERED).encode())}
FINE = answer(build_message(write_message("oadrResponse", write_response(200, "OK", "q"))).encode())
BOMBS = {
    "billion laughs": answer(b'<!DOCTYPE a [<!ENTITY l0 "ha">' + LAUGHS + b"]><a>&l9;</a>"),
    "a file": answer(b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><a>&f;</a>'),
    "depth": answer(b"<a>" * 300_000),
    "elements": answer(b"<a>" + b"<b/>" * 250_000 + b"</a>"),
    "just below": answer(b"<a>" + b"<b c='d'>e</b>" * (MOST_ELEMENTS - 1) + b"</a>"),
    "attributes": answer(b"<a " + b" ".join(b"a%d=''" % at for at in range(90_000)) + b"/>"),
    "one text": answer(b"<a>" + b"x" * (MIB - 7) + b"</a>"),
    "a gigabyte said": HEAD + b"content-length: 1000000000\r\n\r\n" + b"x" * MIB,
    "without end": HEAD + b"\r\n" + b"<a>" + b"x" * 64 * MIB,
    "chunks without end": HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"10000\r\n" + b"x" * 64 * MIB,
    "head without end": HEAD + b"x: " + b"y" * 64 * MIB,
}  # fmt: skip


class Bomber:
    """A VTN that answers well and with the next bomb by turns; `thrown` counts them.

    Bombs alone would be asked for later and later.
    """

    def __init__(self):
        self._is_nice = True
        self.thrown = dict.fromkeys(BOMBS, 0)

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/vtn"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        with contextlib.suppress(OSError, EOFError):
            head = await reader.readuntil(b"\r\n\r\n")
            service = head.split(b" ", 2)[1].rpartition(b"/")[2]
            if service in GOOD or self._is_nice:
                writer.write(GOOD.get(service, FINE))
            else:
                name = min(self.thrown, key=self.thrown.get)
                self.thrown[name] += 1
                writer.write(BOMBS[name])
            self._is_nice = not self._is_nice
            await writer.drain()
        writer.close()


def peak_mib(twin):
    lines = pathlib.Path(f"/proc/{twin.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


async def test_bombs_neither_fill_the_memory_nor_stop_the_metering(world, tools):
    async with Bomber() as vtn:
        world.start_broker()
        configuration = world.configuration(
            applications={"metering-data": {}, "demand-response": {}}, utility={"name": "hostile"}
        )
        folder = world.folder / "utility"
        folder.mkdir()
        address = {"protocol": "openadr-2.0b", "url": vtn.url}
        (folder / "utility.json").write_text(json.dumps(address))
        configuration["paths"]["utility"] = str(folder)
        twin = world.start_twin(configuration)
        await asyncio.to_thread(twin.wait_serving)
        before = peak_mib(twin)
        meter = tools.Meter(world)
        meter.power_on()
        await world.operate()
        base_s = int(time.time()) // 60 * 60 - 3600
        for minute in range(60):
            sequence = meter.append(tools.reading(base_s + 60 * minute, 1000 + minute))
            await tools.eventually(lambda seq=sequence: meter.ring.stored >= seq, "it is stored")
            if all(vtn.thrown.values()):
                break
            await asyncio.sleep(1)
        assert all(vtn.thrown.values()), f"{vtn.thrown}: it asks again and again"
        found = (await asyncio.to_thread(twin.get, "/v1/dr"))[1]
        assert found["registered"]
        assert sum(found["troubles"].values()) >= len(BOMBS) - 1
        peak = peak_mib(twin)
        assert peak - before <= MOST_GROWTH_MIB, f"{before:.1f} MiB, then {peak:.1f}"
        await meter.power_off()


def test_the_bombs_are_beyond_the_limits():
    assert BOMBS["depth"].count(b"<a>") > MOST_DEPTH
    assert BOMBS["elements"].count(b"<b/>") > MOST_ELEMENTS
