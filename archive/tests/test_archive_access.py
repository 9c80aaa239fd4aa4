"""Who may ask what on the port of tokens, asked of a real PostgreSQL: foreign data is refused."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from access_world import START, AccessWorld, together
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from meter_archive.tokens import build_token

DAY = {"from_": "2026-11-02", "to": "2026-11-03", "every": "1d"}


@pytest.fixture
async def world(url):
    async with AccessWorld(url) as made:
        await made.fill()
        yield made


async def status_of(world, token, **query):
    status, document = await world.ask(token, **query)
    assert ("error" in document) == (status != 200), document
    return status


async def test_a_token_for_everything_sees_each_meter(world):
    token = await world.token(all=True)
    for subject in ({"meter": "house-1"}, {"point": "P2"}, {"device": "abc"}):
        status, document = await world.ask(token, **subject, **DAY)
        assert (status, document["devices"][0]["buckets"][0]["value"]) == (200, 96000)


@pytest.mark.parametrize("subject", [{"meter": "house-2"}, {"point": "P2"}, {"device": "def"}])
@pytest.mark.parametrize(
    "scope", [{"label": "feeder=F1"}, {"points": ["P1"], "since": "2026-11-01"}]
)
async def test_a_foreign_meter_is_as_unknown_as_one_that_is_not(world, scope, subject):
    token = await world.token(**scope)
    assert await status_of(world, token, point="P1", **DAY) == 200
    status, foreign = await world.ask(token, **subject, **DAY)
    assert status == 404
    ((kind, value),) = subject.items()
    _, unknown = await world.ask(token, **{kind: "nobody"}, **DAY)
    assert str(foreign).replace(value, "nobody") == str(unknown)


async def test_a_refused_time_does_not_tell_that_a_foreign_meter_is_there(world):
    """02:30 never came in Berlin on that day: who is told so knows where the meter is."""
    await world.fetch("UPDATE installation SET zone = 'Europe/Berlin'")
    token = await world.token(points=["P1"], since="2026-11-01")
    query = {"from_": "2027-03-28T02:30", "to": "2027-03-29", "every": "1h"}
    assert await status_of(world, token, point="P1", **query) == 400
    assert await status_of(world, token, point="P2", **query) == 404


MIDDLE = START + timedelta(hours=2, minutes=30)


@pytest.mark.parametrize(
    ("late_s", "first", "energy"),
    [
        (-900, timedelta(hours=2, minutes=15), 3000),
        (-899, timedelta(hours=2, minutes=30), 2000),
        (-1, timedelta(hours=2, minutes=30), 2000),
        (0, timedelta(hours=2, minutes=30), 2000),
        (1, timedelta(hours=2, minutes=45), 1000),
        (899, timedelta(hours=2, minutes=45), 1000),
        (900, timedelta(hours=2, minutes=45), 1000),
    ],
)
async def test_the_bucket_over_the_begin_of_a_tenure_has_nothing_of_the_tenant_before(
    world, late_s, first, energy
):
    since = (MIDDLE + timedelta(seconds=late_s)).isoformat()
    token = await world.token(points=["P1"], since=since)
    for every in ("1h", "1d", "1mo"):
        _, document = await world.ask(
            token, point="P1", from_="2026-11-01", to="2026-11-01T03:00", every=every
        )
        (bucket,) = document["devices"][0]["buckets"]
        assert (bucket["start"], bucket["value"]) == ((START + first).isoformat(), energy)
    _, document = await world.ask(
        token, point="P1", from_="2026-11-01", every="15m", to="2026-11-02"
    )
    assert document["devices"][0]["buckets"][0]["start"] == (START + first).isoformat()


@pytest.mark.parametrize(
    ("late_s", "last", "energy"),
    [
        (-1, timedelta(hours=2, minutes=15), 1000),
        (0, timedelta(hours=2, minutes=30), 2000),
        (1, timedelta(hours=2, minutes=30), 2000),
    ],
)
async def test_the_bucket_over_the_end_of_a_tenure_ends_with_it(world, late_s, last, energy):
    until = (MIDDLE + timedelta(seconds=late_s)).isoformat()
    token = await world.token(points=["P1"], since="2026-11-01", until=until)
    for every in ("1h", "1d"):
        _, document = await world.ask(
            token, point="P1", from_="2026-11-01T02:00", to="2026-11-01T06:00", every=every
        )
        (bucket,) = document["devices"][0]["buckets"]
        assert (bucket["end"], bucket["value"]) == ((START + last).isoformat(), energy)


@pytest.mark.parametrize(("late_s", "quarters"), [(-1, 95), (0, 96), (1, 96)])
async def test_all_answers_end_a_tenure_with_the_same_quarter_hour(world, late_s, quarters):
    """The reading of the second in which it ends closes its last interval."""
    until = (START + timedelta(days=2, seconds=late_s)).isoformat()
    token = await world.token(points=["P1"], since="2026-11-02", until=until)
    query = {"from_": "2026-11-02", "to": "2026-11-04"}
    _, history = await world.ask(token, point="P1", every="1mo", **query)
    assert history["devices"][0]["buckets"][0]["value"] == quarters * 1000
    _, document = await world.ask(token, "/v1/intervals", point="P1", estimate="none", **query)
    (device,) = document["devices"]
    assert (device["sum"], device["counts"]) == (quarters * 1000, {"metered": quarters})
    _, totals = await world.ask(token, "/v1/totals", fleet="1", every="1d", **query)
    first, second = totals["buckets"]
    quality = "metered" if quarters == 96 else "partial"
    assert (first["value"], first["quality"]) == (quarters * 1000, quality)
    assert (second["value"], second["expected"]) == (None, 0)
    _, gaps = await world.ask(token, "/v1/gaps", point="P1", **query)
    assert (gaps["devices"][0]["expected"], gaps["devices"][0]["gaps"]) == (quarters + 1, [])
    _, performance = await world.ask(token, "/v1/performance", point="P1", **query)
    assert performance["days"][0]["expected"] == quarters


async def test_an_installation_that_begins_in_a_quarter_hour_has_nothing_of_it(world):
    await world.fetch("UPDATE installation SET since = '2026-11-01T02:30:00.000001Z'")
    token = await world.token()
    _, document = await world.ask(
        token, point="P1", from_="2026-11-01", to="2026-11-01T03:00", every="1h"
    )
    (bucket,) = document["devices"][0]["buckets"]
    assert (bucket["start"], bucket["value"]) == ("2026-11-01T02:45:00+00:00", 1000)


async def test_before_and_after_a_tenure_there_is_nothing_to_see(world):
    token = await world.token(points=["P1"], since="2026-11-02", until="2026-11-03")
    assert await status_of(world, token, point="P1", from_="2026-11-02", to="2026-11-03") == 200
    for from_, to in (("2026-11-01", "2026-11-02"), ("2026-11-03", "2026-11-04")):
        assert await status_of(world, token, point="P1", from_=from_, to=to) == 404


async def test_an_open_tenure_ends_when_its_tenant_moves_out(world):
    token = await world.token(points=["P1"], since="2026-11-01")
    assert await status_of(world, token, point="P1", from_="2026-11-03", to="2026-11-04") == 200
    status, _ = await world.command("/end", name="app", point="P1", until="2026-11-03")
    assert status == 200
    assert await status_of(world, token, point="P1", from_="2026-11-03", to="2026-11-04") == 404
    assert await status_of(world, token, point="P1", from_="2026-11-02", to="2026-11-04") == 200
    status, _ = await world.command("/end", name="app", until="2026-12-03")
    assert status == 404, "a tenure never gets longer"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer",
        "Bearer x",
        "Basic YTpi",
        "Bearer " + build_token(bytes(32)),
        "Bearer " + "\x01" * 47,
        "Bearer mta_" + "a" * 8000,
        "Bearer '; DROP TABLE token; --",
    ],
)
async def test_without_a_token_that_is_known_nothing_is_told(world, header):
    headers = {} if header is None else {"Authorization": header}
    for path in ("/v1/history?meter=house-1", "/v1/openapi.json", "/v1/none", "/v1/audit"):
        try:
            answer = await world.reader.get(path, headers=headers)
        except ValueError:
            return  # a header that no client sends
        assert answer.status in {400, 401}
        if answer.status == 401:
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert (await answer.json())["error"]["field"] == "token"


async def test_a_revoked_token_is_refused_from_the_next_question_on(world):
    token = await world.token()
    assert await status_of(world, token, point="P1", **DAY) == 200
    assert (await world.command("/revoke", name="app"))[0] == 200
    status, document = await world.ask(token, point="P1", **DAY)
    assert (status, document["error"]["message"]) == (401, "was revoked")
    status, document = await world.command("", name="app", all=True)
    assert (status, document["error"]["field"]) == (400, "name"), "the audit knows it by its name"


async def test_an_expired_token_is_refused(world):
    token = await world.token(all=True, expires="1h")
    assert await status_of(world, token, point="P1", **DAY) == 200
    await world.fetch("UPDATE token SET expires = now()")
    status, document = await world.ask(token, point="P1", **DAY)
    assert (status, document["error"]["message"]) == (401, "has expired")


async def test_only_the_digest_of_a_token_is_stored_and_it_is_shown_once(world, caplog):
    caplog.set_level("DEBUG")
    token = await world.token()
    await world.ask(token, point="P1", **DAY)
    await world.ask(token, path=f"/v1/{token}", point=token, access_token=token)
    (row,) = await world.fetch("SELECT * FROM token")
    assert row["digest"] == hashlib.sha256(token.encode()).digest()
    everything = str([*row.values()]) + str(await world.fetch("SELECT * FROM access"))
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("meter_archive")]
    assert ours
    assert token not in everything + "".join(ours)  # the service has no log of aiohttp's
    async with world.operator.get("/v1/tokens") as answer:
        text = await answer.text()
    assert token not in text
    assert row["digest"].hex() not in text
    (shown,) = (await answer.json())["tokens"]
    assert shown["state"] == "is valid"
    assert datetime.fromisoformat(shown["lastUsed"]) > datetime.now(UTC) - timedelta(minutes=1)


async def test_readers_have_no_way_to_tokens_and_audit(world):
    token = await world.token(all=True)
    assert (await world.ask(token, path="/v1/audit"))[0] == 404
    assert (await world.ask(token, path="/v1/tokens"))[0] == 404
    headers = {"Authorization": f"Bearer {token}"}
    body = {"name": "mine", "all": True}
    async with world.reader.post("/v1/tokens", json=body, headers=headers) as answer:
        assert answer.status == 404
    assert len(await world.fetch("SELECT FROM token")) == 1


async def test_a_page_of_a_browser_cannot_make_tokens_through_a_port_forward(world):
    body = '{"name": "mine", "all": true}'
    async with world.operator.post("/v1/tokens", data=body) as answer:
        assert answer.status == 415, "another type needs no leave of the port that it is sent to"
    headers = {"Content-Type": "application/json", "Host": "evil.example"}
    async with world.operator.post("/v1/tokens", data=body, headers=headers) as answer:
        assert answer.status == 403, "a name that leads here"
    assert await world.fetch("SELECT FROM token") == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "A b", "all": True}, "name"),
        ({"name": "port-forward", "all": True}, "name"),
        ({"name": "app"}, "points"),
        ({"name": "app", "all": False}, "points"),
        ({"name": "app", "all": "yes"}, "all"),
        ({"name": "app", "all": True, "label": "a=b"}, "points"),
        ({"name": "app", "all": True, "since": "2026-11-01"}, "since"),
        ({"name": "app", "label": "feeder"}, "label"),
        ({"name": "app", "points": "P1", "since": "2026-11-01"}, "points"),
        ({"name": "app", "points": ["P1"]}, "since"),
        ({"name": "app", "points": ["P1", "P1"], "since": "2026-11-01"}, "points"),
        ({"name": "app", "points": ["P1"], "since": "2026-11-02", "until": "2026-11-02"}, "until"),
        ({"name": "app", "all": True, "expires": "0d"}, "expires"),
        ({"name": "app", "all": True, "expires": "3651d"}, "expires"),
        ({"name": "app", "all": True, "expires": "99999999d"}, "expires"),
        ({"name": "app", "all": True, "digest": "x"}, "digest"),
        ({"name": "app", "points": ["P\0"], "since": "2026-11-01"}, "query"),
    ],
)
async def test_a_wrong_member_of_a_new_token_is_named(world, body, field):
    status, document = await world.command("", **body)
    assert (status, document["error"]["field"]) == (400, field)


async def test_a_token_for_a_point_that_nobody_knows_is_refused(world):
    status, document = await world.command("", name="app", points=["P3"], since="2026-11-01")
    assert (status, "P3" in document["error"]["message"]) == (404, True)


@pytest.mark.parametrize("path", ["/revoke", "/end"])
async def test_a_token_that_is_not_there_cannot_be_ended(world, path):
    status, document = await world.command(path, name="nobody")
    assert (status, document["error"]["field"]) == (404, "name")


async def test_wrong_tokens_of_an_address_end_in_429_and_shut_out_nobody_who_is_known(world):
    token = await world.token()
    assert await status_of(world, token, point="P1", **DAY) == 200
    statuses = [(await world.ask(build_token(bytes([one]) * 32)))[0] for one in range(30)]
    assert statuses == [401] * 10 + [429] * 20
    assert (await world.ask(None))[0] == 429
    assert await status_of(world, token, point="P1", **DAY) == 200


async def test_a_thousand_questions_at_once_are_answered_or_told_to_come_again(url):
    async with AccessWorld(url, at_once=40, at_once_each=10) as world:
        await world.fill()
        first, second = await world.token("first"), await world.token("second")
        world.reader.session._connector._limit = 0
        asked = [world.ask(first, point="P1", **DAY) for _ in range(1000)]
        found = await together(*asked, world.ask(second, point="P1", **DAY))
        statuses = {status for status, _ in found}
        assert statuses <= {200, 429, 503}
        assert len(statuses) > 1, "a thousand at once are too many"
        assert [status for status, _ in found].count(200) >= 10
        assert await status_of(world, second, point="P1", **DAY) == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from_": "2016-11-01", "to": "2026-11-01", "every": "15m"}, "every"),
        ({"from_": "1970-01-01", "to": "2104-01-01", "every": "1h"}, "every"),
        ({"namespace": "1" * 1025}, "namespace"),
        ({"x" * 1025: "1"}, "x" * 64),
        ({f"p{number}": "1" for number in range(32)}, "query"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"format": "xml"}, "format"),
        ({"format": "json", "every": "15\0m"}, "every"),
    ],
)
async def test_an_oversized_question_is_refused_by_name(world, query, field):
    token = await world.token()
    status, document = await world.ask(token, point="P1", **query)
    assert (status, document["error"]["field"]) == (400, field)


async def test_a_url_of_ten_megabytes_and_a_large_body_are_refused(world):
    token = await world.token()
    headers = {"Authorization": f"Bearer {token}"}
    try:
        answer = await world.reader.get("/v1/history?point=" + "a" * 10_000_000, headers=headers)
        assert answer.status in {400, 414}
    except OSError:
        pass  # closed before it was all sent
    async with world.operator.post("/v1/tokens", json={"name": "a" * 100_000}) as answer:
        assert answer.status == 413


INJECTIONS = ["' OR 1=1 --", "x'; DROP TABLE metertwin.entry; --", "\\", "%", "$1", '"', "\ud800"]


async def test_no_text_in_any_parameter_is_taken_for_sql_or_ends_in_an_error(world):
    token = await world.token("foreign", points=["P1"], since="2026-11-01")
    names = ("meter", "point", "device", "namespace", "register", "from", "to", "every", "zone")

    @settings(
        max_examples=60, deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )  # fmt: skip
    @given(st.sampled_from(names), st.text(max_size=40) | st.sampled_from(INJECTIONS))
    def collect(name, text):
        texts.append((name, text))

    texts = [(name, text) for name in names for text in INJECTIONS]
    collect()
    for name, text in texts:
        query = {"point": "P2"} | {
            name: text.encode(errors="surrogatepass").decode(errors="replace")
        }
        status, _ = await world.ask(token, **query)
        assert status in {400, 404, 401}, (name, text)
    (row,) = await world.fetch("SELECT count(*) FROM entry")
    assert row["count"] > 0


async def test_what_asks_for_readings_can_write_nothing(world):
    async with world.reading.acquire() as connection:
        with pytest.raises(Exception, match="read-only transaction"):
            await connection.execute("DELETE FROM entry")
