"""The ports of a running archive: who gets in by which certificate and which token."""

import asyncio
import json
import ssl

import aiohttp
import pytest
from archive_world import ArchiveWorld, PushingTwin

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def world(tmp_path, server):
    made = ArchiveWorld(tmp_path, server)
    await made.start(1)
    yield made
    made.stop()


async def fetch(url, **options):
    """Return status and text of a request."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
        session.request(options.pop("method", "GET"), url, **options) as answer,
    ):
        return answer.status, await answer.text()


async def test_tokens_open_the_port_of_readers_and_no_other(world):
    await PushingTwin(world, "abc", 20).push()
    ((operators, readers),) = world.questions
    (ingest,) = world.ports
    plain = f"http://127.0.0.1:{operators}"
    body = {"name": "app", "all": True}
    status, text = await fetch(f"{plain}/v1/tokens", method="POST", json=body)
    assert status == 200, text
    headers = {"Authorization": f"Bearer {json.loads(text)['token']}"}
    stranger, twin = world.client_context(None), world.context("abc", 1)
    history = "/v1/history?device=abc&from=2026-11-01T01:00Z&to=2026-11-01T03:00Z"

    status, text = await fetch(
        f"https://localhost:{readers}{history}", ssl=stranger, headers=headers
    )
    assert (status, json.loads(text)["devices"][0]["buckets"][0]["value"]) == (200, 8000)

    status, _ = await fetch(f"https://localhost:{readers}{history}", ssl=stranger)
    assert status == 401
    status, _ = await fetch(f"https://localhost:{readers}{history}", ssl=twin)
    assert status == 401, "the certificate of a twin is no leave to read"

    with pytest.raises((aiohttp.ClientError, OSError)):
        await fetch(f"http://localhost:{readers}{history}", headers=headers)
    with pytest.raises((aiohttp.ClientError, OSError)):
        await fetch(f"https://localhost:{ingest}{history}", ssl=stranger, headers=headers)
    status, _ = await fetch(f"https://localhost:{ingest}{history}", ssl=twin, headers=headers)
    assert status == 404, "the port of twins has no questions"
    assert headers["Authorization"][7:] not in world.replicas[0].log

    status, text = await fetch(f"{plain}/v1/audit")
    notes = [(one["who"], one["status"]) for one in json.loads(text)["accesses"][::-1]]
    assert notes == [("port-forward", 200), ("app", 200), ("", 401), ("", 401)]


async def test_old_tls_is_refused(world):
    ((_, readers),) = world.questions
    context = world.client_context(None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    _, writer = await asyncio.open_connection("localhost", readers, ssl=context)
    writer.close()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.raises((ssl.SSLError, OSError)):
        await asyncio.open_connection("localhost", readers, ssl=context)
