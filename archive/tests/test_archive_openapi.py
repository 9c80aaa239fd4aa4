"""The OpenAPI document: valid by another reader, complete, and true of what is answered."""

import copy
import json

import jsonschema
import pytest
from access_world import AccessWorld
from meter_archive.openapi import build_openapi
from meter_archive.queries import list_queries
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

DOCUMENT = build_openapi(list_queries())


def test_the_document_is_valid_openapi_3_1():
    validate(json.loads(json.dumps(DOCUMENT)), cls=OpenAPIV31SpecValidator)


@pytest.mark.parametrize("route", list_queries())
def test_each_question_is_described(route):
    query = list_queries()[route]
    assert query.summary.endswith(".")
    for parameter in query.parameters:
        assert parameter.description
        assert parameter.schema["type"]
    assert query.answer["type"] == "object"
    assert query.changes == (query.body is not None)
    assert query.operators or not query.changes


def strict(schema):
    """Return a schema that knows no members but those it names."""
    made = copy.deepcopy(schema)
    pending = [made]
    while pending:
        one = pending.pop()
        pending += [
            part for part in (*one.get("properties", {}).values(), one.get("items")) if part
        ]
        if one.get("properties"):
            one["additionalProperties"] = False
    return made


def check(document, path, method="get", status="200"):
    if status == "200":
        found = DOCUMENT["paths"][path][method]["responses"]["200"]
        schema = found["content"]["application/json"]["schema"]
    else:
        schema = DOCUMENT["components"]["schemas"]["Error"]
    jsonschema.validate(document, strict(schema), format_checker=jsonschema.FormatChecker())


@pytest.fixture
async def world(url):
    async with AccessWorld(url) as made:
        await made.fill()
        yield made


async def test_answers_are_as_the_document_says(world):
    token = await world.token(all=True)
    day = {"point": "P1", "from_": "2026-11-02", "to": "2026-11-03"}
    for register in ("1.8.0", "32.7.0"):
        status, document = await world.ask(token, register=register, **day)
        assert status == 200
        check(document, "/v1/history")
    _, refused = await world.ask(token, point="P1", every="1y")
    check(refused, "/v1/history", status="400")
    status, document = await world.command("", name="b", points=["P1"], since="2026-11-01")
    check(document, "/v1/tokens", "post")
    async with world.operator.get("/v1/tokens") as answer:
        check(await answer.json(), "/v1/tokens")
    for path in ("/end", "/revoke"):
        check((await world.command(path, name="b"))[1], f"/v1/tokens{path}", "post")
    async with world.operator.get("/v1/audit?limit=2") as answer:
        check(await answer.json(), "/v1/audit")


async def test_each_described_parameter_is_known_and_no_other(world):
    for route, query in list_queries().items():
        if route.startswith("POST") or not query.parameters:
            continue
        names = {parameter.name for parameter in query.parameters}
        for name in names:
            async with world.operator.get(route, params={name: "?"}) as answer:
                document = await answer.json()
            assert "is no parameter" not in str(document), (route, name)
        async with world.operator.get(route, params={"nonsense": "1"}) as answer:
            assert answer.status == 400
            said = (await answer.json())["error"]
        assert set(said["remedy"].removeprefix("these are: ").split(", ")) == names


async def test_both_ports_serve_the_document(world):
    token = await world.token()
    assert (await world.ask(token, path="/v1/openapi.json"))[1] == DOCUMENT
    async with world.operator.get("/v1/openapi.json") as answer:
        assert await answer.json() == DOCUMENT
