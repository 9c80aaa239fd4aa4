"""An agent and the VTN in memory over real HTTP: what `make test` has of a whole conversation."""

import asyncio
import itertools

import pytest
from fake_vtn import AGENCY, CLIENT, NOW, SECRET, URL, FakeVtn, describe_event
from meter_twin.demand_response.event_book import Opt
from meter_twin.openadr3.dialogue import Question
from vtn31_process import House


class Served:
    """A VTN in memory behind a socket; it closes the connection instead of some answers."""

    def __init__(self, vtn, lost=(), tls=None):
        self.vtn, self._lost, self._numbers = vtn, set(lost), itertools.count()
        self._tls = tls
        self._open = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        place = "http://127.0.0.1" if self._tls is None else "https://localhost"
        self.url = f"{place}:{self._server.sockets[0].getsockname()[1]}/openadr3/3.1.0"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in list(self._open):
            writer.close()
        await asyncio.sleep(0.1)  # who serves them sees their end

    async def _serve(self, reader, writer):
        self._open.add(writer)
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            method, path, _ = head[0].split(" ")
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            body = await reader.readexactly(int(headers["content-length"]))
            asked = Question(method, path.removeprefix("/openadr3/3.1.0"), "", "", body, headers)
            status, content = self.vtn.answer(asked)
            if next(self._numbers) in self._lost:
                break
            content = content.replace(URL.encode(), self.url.encode())
            writer.write(
                b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(content), content)
            )
            await writer.drain()
        self._open.discard(writer)
        writer.close()


@pytest.mark.parametrize("lost", [(), *((at,) for at in range(12)), (9, 10, 11)])
async def test_events_come_and_a_refusal_arrives_once_whatever_answer_is_lost(lost):
    vtn = FakeVtn()
    vtn.add("events", describe_event())
    async with Served(vtn, lost) as served:
        opt = Opt(False, "economic")
        async with House(served, AGENCY, (CLIENT, SECRET), opt=opt) as house:
            for now_s in range(NOW, NOW + 90, 3):
                await house.settle(now_s)
    assert vtn.complaints == []
    assert house.agent.reason == "Registered"
    assert len(vtn.objects["vens"]) == len(vtn.objects["resources"]) == 1
    assert [one["reportName"] for one in vtn.reports()] == ["opt-1-out"]
