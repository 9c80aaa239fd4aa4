"""Every question is noted before it is answered; what cannot be noted is not answered."""

import pytest
from access_world import AccessWorld
from meter_archive.audit import describe_parameters, find_shown
from meter_archive.audit_table import forget_notes
from meter_archive.tokens import build_token

DAY = {"from_": "2026-11-02", "to": "2026-11-03", "every": "1d"}


@pytest.fixture
async def world(url):
    async with AccessWorld(url) as made:
        await made.fill()
        yield made


async def test_each_question_has_a_line_whatever_became_of_it(world):
    token = await world.token("billing", points=["P1"], since="2026-11-01")
    await world.ask(token, point="P1", **DAY)
    await world.ask(token, point="P2", **DAY)
    await world.ask(token, point="P1", every="1y")
    await world.ask(token, path="/v1/none")
    await world.ask(None, point="P1")
    await world.command("/revoke", name="billing")
    await world.ask(token, point="P1")
    notes = [
        (one["who"], one["route"], one["status"], one["devices"], one["points"])
        for one in await world.notes()
    ]
    assert notes == [
        ("port-forward", "POST /v1/tokens", 200, 0, []),
        ("billing", "GET /v1/history", 200, 1, ["P1"]),
        ("billing", "GET /v1/history", 404, 0, []),
        ("billing", "GET /v1/history", 400, 0, []),
        ("billing", "GET /v1/none", 404, 0, []),
        ("", "GET /v1/history", 401, 0, []),
        ("port-forward", "POST /v1/tokens/revoke", 200, 0, []),
        ("billing", "GET /v1/history", 401, 0, []),
    ]
    (asked,) = await world.notes(point="P1")
    assert asked["parameters"] == "point=P1 from=2026-11-02 to=2026-11-03 every=1d"
    assert (asked["address"], asked["rows"]) == ("127.0.0.1", 2)


async def test_the_audit_is_read_in_pages_and_each_look_at_it_is_noted(world):
    await world.token("a")
    await world.notes()
    async with world.operator.get("/v1/audit", params={"limit": "1"}) as answer:
        page = await answer.json()
    assert page["accesses"][0]["route"] == "GET /v1/audit"
    async with world.operator.get("/v1/audit", params={"before": page["next"]}) as answer:
        (first,) = (await answer.json())["accesses"]
    assert first["route"] == "POST /v1/tokens"
    assert first["parameters"] == "name=a all=true"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "x"}, "from"),
        ({"to": "2026-11-01", "from": "2026-11-01"}, "to"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"before": "9" * 30}, "before"),
        ({"whom": "x"}, "whom"),
    ],
)
async def test_a_wrong_parameter_of_the_audit_is_named(world, query, field):
    async with world.operator.get("/v1/audit", params=query) as answer:
        assert ((await answer.json())["error"]["field"], answer.status) == (field, 400)


async def test_an_answer_that_cannot_be_noted_is_not_given(world):
    token = await world.token()
    assert (await world.ask(token, point="P1", **DAY))[0] == 200
    await world.fetch("ALTER TABLE access RENAME TO gone")
    for ask in (world.reader, world.operator):
        headers = {"Authorization": f"Bearer {token}"}
        async with ask.get("/v1/history", params={"point": "P1"}, headers=headers) as answer:
            text = await answer.text()
            assert answer.status == 503, text
        assert "devices" not in text
        assert answer.headers["Retry-After"]


async def test_without_the_database_of_the_audit_there_is_no_answer(world):
    token = await world.token()
    world.access.terminate()
    status, document = await world.ask(token, point="P1", **DAY)
    assert (status, "devices" in document) == (503, False)


async def test_strangers_cannot_fill_the_audit(world):
    for one in range(60):
        await world.ask(build_token(bytes([one]) * 32))
    assert len(await world.notes()) == 30


async def test_a_question_that_names_no_text_is_noted_all_the_same(world):
    token = await world.token()
    for path in ("/v1/history?point=%00%ED%A0%80", "/v1/%00", "/v1/history?%0a=%0d"):
        async with world.reader.get(path, headers={"Authorization": f"Bearer {token}"}) as answer:
            assert answer.status in {400, 404}
    assert [one["status"] for one in (await world.notes(who="app"))] == [400, 404, 400]


async def test_notes_and_ended_tokens_are_forgotten_after_their_time(world):
    for name in ("kept", "old", "over"):
        await world.token(name)
    await world.command("/revoke", name="old")
    await world.fetch("UPDATE token SET revoked = now() - interval '9 days' WHERE name = 'old'")
    await world.fetch("UPDATE token SET expires = now() - interval '9 days' WHERE name = 'over'")
    await world.fetch("UPDATE access SET time = now() - interval '9 days' WHERE id = 1")
    (row,) = await world.fetch("SELECT now() - interval '8 days' AS before")
    await forget_notes(world.pool, row["before"])
    assert [row["name"] for row in await world.fetch("SELECT name FROM token")] == ["kept"]
    assert len(await world.fetch("SELECT FROM access")) == 3


def test_a_text_of_the_audit_is_bounded_and_hides_tokens():
    token = build_token(bytes(32))
    text = describe_parameters([("a", f"x{token}y"), ("b", "é\n" * 1000), (token, ["c"])] * 50)
    assert len(text) <= 2003
    assert text.isascii()
    assert "\n" not in text
    assert token[:20] not in text
    assert text.startswith("a=x(token)y b=")
    long = describe_parameters([("a", "x" * 190 + token)])
    assert "mta_" not in long


def test_what_an_answer_shows_is_found_at_any_depth():
    answer = {
        "groups": [
            {"meteringPoint": "P1", "devices": [{"device": "a", "rows": [{}, {}]}]},
            {"meteringPoint": "P1", "device": "b", "meter": "x"},
        ]
    }
    assert find_shown(answer) == (2, 5, ("P1",))
