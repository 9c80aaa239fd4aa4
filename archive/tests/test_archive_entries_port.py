"""A twin gets back what its meter's twins gave, over real TLS from a real PostgreSQL, and no more."""

import time

import aiohttp
import asyncpg
import pytest
from archive_world import ArchiveWorld, PushingTwin
from fleet_of_batches import START_S, A, B, entries, reading
from meter_pki import identities
from meter_wire.archive_batch import PATH, encode_batch
from meter_wire.archive_page import PAGE_ENTRIES, parse_holdings, parse_page
from meter_wire.effects import Hole

pytestmark = pytest.mark.timeout(300)
ALL = "/v1/entries?since=0"
OVERFLOW = 1


@pytest.fixture
async def world(tmp_path, server):
    made = ArchiveWorld(tmp_path, server)
    await made.start(1)
    yield made
    made.stop()


async def get(world, context, path):
    """Return status and body of an answer."""
    timeout = aiohttp.ClientTimeout(total=15)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"https://localhost:{world.ports[0]}{path}", ssl=context) as answer,
    ):
        known = answer.content_type == "application/json"
        return answer.status, await (answer.json() if known else answer.read())


async def fetch(world, context, incarnation, first, until):
    """Return entries and holes of all pages, and how many pages there were."""
    found, holes, pages = {}, [], 0
    while first <= until:
        path = f"/v1/entries/{incarnation.hex()}?from={first}&until={until}"
        status, body = await get(world, context, path)
        assert status == 200, body
        page = parse_page(body, first, until)
        found |= dict(page.entries)
        holes += page.holes
        first = page.end + 1
        pages += 1
    return found, holes, pages


async def test_a_higher_epoch_gets_every_entry_back_in_pages(world):
    await PushingTwin(world, "house-1", 700, batch=300).push()
    await PushingTwin(world, "house-2", 5).push()
    new = world.context("house-1", 2)
    (told,) = parse_holdings((await get(world, new, ALL))[1])
    assert (told.incarnation, told.archived, told.spans) == (A, 700, ((1, 700),))
    assert told.octets == pytest.approx(len(reading(500)), abs=2)
    found, holes, pages = await fetch(world, new, A, 1, 700)
    assert found == dict(entries(1, 700))
    assert holes == []
    assert pages == -(-700 // PAGE_ENTRIES)


async def test_reading_makes_no_epoch_old_and_giving_does(world):
    old = PushingTwin(world, "house-1", 10)
    await old.push()
    assert (await get(world, world.context("house-1", 3), ALL))[0] == 200
    old.last = 20
    await old.push()
    assert not old.retired
    await PushingTwin(world, "house-1", 21, epoch=2).push()
    for path in (ALL, f"/v1/entries/{A.hex()}?from=1&until=9"):
        status, said = await get(world, old.context, path)
        assert (status, said) == (409, {"error": "epoch: epoch 2 has given entries of this device"})


async def test_a_twin_sees_its_own_device_alone(world):
    await PushingTwin(world, "house-1", 10).push()
    stranger = world.context("house-2", 1)
    assert await get(world, stranger, ALL) == (200, {"incarnations": []})
    status, said = await get(world, stranger, f"/v1/entries/{A.hex()}?from=1&until=9")
    assert (status, said["error"]) == (404, f"incarnation: {A.hex()} is none of this device's")
    world.issue("reader", identities.reader_identity("billing"))
    for context in (world.client_context("reader"),):
        assert (await get(world, context, ALL))[0] == 403
    with pytest.raises((aiohttp.ClientError, OSError)):
        await get(world, world.client_context(None), ALL)


async def test_holes_and_two_incarnations_come_back_in_their_order(world):
    context = world.context("house-1", 1)
    rows = entries(1, 4) + entries(8, 10)
    await world.post(context, encode_batch(10, (Hole(5, 7, OVERFLOW),), rows))
    await world.post(context, encode_batch(3, (), entries(1, 3, salt=5)), incarnation=B)
    told = parse_holdings((await get(world, context, ALL))[1])
    assert [(one.incarnation, one.archived, one.spans) for one in told] == [
        (A, 10, ((1, 10),)),
        (B, 3, ((1, 3),)),
    ]
    assert (await fetch(world, context, A, 1, 10))[:2] == (dict(rows), [Hole(5, 7, OVERFLOW)])
    assert (await fetch(world, context, A, 6, 8))[:2] == (dict(rows[4:5]), [Hole(6, 7, OVERFLOW)])
    assert (await fetch(world, context, B, 1, 3))[0] == dict(entries(1, 3, salt=5))


async def test_only_what_is_not_older_than_asked_is_told(world):
    context = world.context("house-1", 1)
    future = (400, reading(400, time_s=int(time.time()) + 86_400 * 300))
    await world.post(context, encode_batch(400, (), (*entries(1, 399), future)))
    since = START_S + 200 * 900
    (told,) = parse_holdings((await get(world, context, f"/v1/entries?since={since}"))[1])
    assert (told.archived, told.spans) == (400, ((200, 400),))
    late = START_S + 401 * 900
    assert (await get(world, context, f"/v1/entries?since={late}"))[1] == {"incarnations": []}


async def test_entries_without_a_time_come_back_with_their_neighbours(world):
    context = world.context("house-1", 1)
    rows = (*entries(1, 3), (4, reading(4, time_s=0)), *entries(5, 6))
    await world.post(context, encode_batch(6, (), rows))
    assert (await fetch(world, context, A, 1, 6))[0] == dict(rows)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v1/entries", "since: '' is no number from 0 to 4294967295"),
        ("/v1/entries?since=-1", "since: '-1' is no number"),
        ("/v1/entries?since=4294967296", "since: '4294967296' is no number"),
        ("/v1/entries?since=00000000001999999999999", "since: '00000000001999999999' is no number"),
        ("/v1/entries?since=%D9%A3", "since: '\u0663' is no number"),
        ("/v1/entries?since=" + "9" * 5000, "since: '99999999999999999999' is no"),
        ("/v1/entries?since=4294967295", "since: is in the future; set the clock"),
        ("/v1/entries/AB?from=1&until=2", "incarnation: is not 16"),
        (f"/v1/entries/{A.hex()}?from=0&until=2", "from: '0' is no number from 1 to"),
        (f"/v1/entries/{A.hex()}?from=3&until=2", "until: '2' is no number from 3 to"),
        (f"/v1/entries/{A.hex()}?from=1", "until: '' is no number"),
        (f"/v1/entries/{A.hex()}?from=1;DROP&until=9", "from: '1;DROP' is no number"),
    ],
)
async def test_a_question_that_is_none_is_refused_with_its_field(world, path, told):
    status, said = await get(world, world.context("house-1", 1), path)
    assert status == 400
    assert said["error"].startswith(told)


async def test_a_database_that_is_locked_or_away_is_asked_again_later(world):
    await PushingTwin(world, "house-1", 10).push()
    connection = await asyncpg.connect(world.url)
    try:
        await connection.execute("ALTER TABLE metertwin.hole RENAME TO gone")
        context = world.context("house-1", 1)
        status, said = await get(world, context, f"/v1/entries/{A.hex()}?from=1&until=9")
        assert (status, said) == (503, {"error": "database: away; ask again"})
        await connection.execute("ALTER TABLE metertwin.gone RENAME TO hole")
    finally:
        await connection.close()
    assert (await fetch(world, context, A, 1, 9))[0] == dict(entries(1, 9))


async def test_a_batch_to_the_reading_route_is_no_method(world):
    assert PATH == "/v1/batches/"
    status, _ = await get(world, world.context("house-1", 1), PATH + A.hex())
    assert status == 405
