"""Who connects to the readers' port and asks nothing is let go, and keeps nobody else out."""

import asyncio

import pytest
from aiohttp import ClientSession, web
from meter_archive import figures, reader_site
from meter_archive.reader_site import ReaderSite


async def answer(_):
    return web.Response(text="answer")


@pytest.fixture
async def site():
    """Return the address of a site that takes three connections."""
    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await ReaderSite(runner, "127.0.0.1", 0, None, most=3).start()
    yield runner.addresses[0]
    await runner.cleanup()


def refused(reason):
    return figures.CONNECTIONS_REFUSED.labels(reason)._value.get()


async def ask(site):
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{site[1]}/") as found:
        return await found.text()


async def test_one_connection_too_many_is_closed_and_counted(site):
    before = refused("too_many")
    held = [await asyncio.open_connection(*site) for _ in range(3)]
    await asyncio.sleep(0.05)
    reader, writer = await asyncio.open_connection(*site)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert refused("too_many") == before + 1
    held.pop()[1].close()
    await asyncio.sleep(0.05)
    assert await ask(site) == "answer"
    for _, writer in held:
        writer.close()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n"])
async def test_who_says_nothing_or_no_whole_head_is_let_go(site, monkeypatch, said):
    monkeypatch.setattr(reader_site, "SILENCE_S", 0.3)
    reader, writer = await asyncio.open_connection(*site)
    writer.write(said)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_head_that_comes_octet_by_octet_gains_no_time(site, monkeypatch):
    monkeypatch.setattr(reader_site, "SILENCE_S", 0.3)
    reader, writer = await asyncio.open_connection(*site)
    closed = asyncio.create_task(reader.read())
    for _ in range(60):
        if closed.done():
            break
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX: "[:1])
        await asyncio.sleep(0.05)
    assert closed.done()
    writer.close()


@pytest.mark.parametrize(
    "said",
    [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET /\xff\xfe\r\n\r\n", b"GET / HTTP/1.1\r\nA b\r\n\r\n"],
)
async def test_what_is_no_http_is_answered_and_counted(site, said):
    before = refused("no_http")
    reader, writer = await asyncio.open_connection(*site)
    writer.write(said)
    found = await asyncio.wait_for(reader.read(), 5)
    assert found.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400")), found
    assert found.endswith(b"this is no request of HTTP\n")
    assert refused("no_http") == before + 1
    writer.close()


async def test_who_waits_between_questions_is_let_go(site, monkeypatch):
    monkeypatch.setattr(reader_site, "SILENCE_S", 0.3)
    reader, writer = await asyncio.open_connection(*site)
    for _ in range(2):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readuntil(b"answer")).startswith(b"HTTP/1.1 200")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
