"""The OpenAPI 3.1 document of the queries, out of their descriptions. Pure.

Neighbours: `queries`, `tools/reference/archive_api.py` (writes it and a page of it to docs/).
"""

from collections.abc import Mapping

from meter_archive.database import Pool
from meter_archive.queries import Asked, Json, Parameter, Query, list_queries, split_route
from meter_archive.schemas import FORMAT, record, text

_VERSION = "1"
_ABOUT = """\
Readings of a fleet of meters, for years. Ports: 8443 over TLS, with a bearer token, which
`kubectl meter token create` makes and which sees what it was made for; and 127.0.0.1:8081 of the
pods, which `kubectl meter` reaches by a port-forward and which sees everything. Paths that are
tagged `operators` are on 8081 alone. Who asked what is noted before it is answered."""
_ERROR = record(
    "Why a question is not answered.",
    {
        "error": record(
            "",
            {
                "field": text("The parameter; empty if it is none's fault."),
                "message": text("What is wrong."),
                "remedy": text("What to do."),
            },
        )
    },
)
REFUSALS = {
    "400": "A parameter is unknown, wrong or too large; or the answer would be too large.",
    "401": "Port 8443: the token is missing, unknown, revoked or has expired.",
    "404": "Not known for that time, or not to this asker; or no such path.",
    "429": "Too many questions at once, or wrong tokens: see Retry-After.",
    "503": "Busy, or the database is away, or the question cannot be noted: see Retry-After.",
    "504": "It took too long: ask for less.",
}


def build_openapi(queries: Mapping[str, Query]) -> Json:
    """Return the document of these queries."""
    paths: Json = {}
    for route, query in queries.items():
        method, path = split_route(route)
        paths.setdefault(path, {})[method.lower()] = _describe(method, path, query)
    return {
        "openapi": "3.1.0",
        "info": {"title": "MeterTwin archive", "version": _VERSION, "description": _ABOUT},
        "servers": [{"url": "https://metertwin-archive:8443"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _ERROR},
            "responses": {status: _refusal(said) for status, said in REFUSALS.items()},
        },
    }


def _describe(method: str, path: str, query: Query) -> Json:
    content: Json = {"application/json": {"schema": query.answer}}
    parameters = query.parameters
    if query.rows:
        content["text/csv"] = {"schema": {"type": "string"}}
        parameters = (*parameters, FORMAT)
    refusals = {status: {"$ref": f"#/components/responses/{status}"} for status in REFUSALS}
    words = [word for word in path.replace(".", "/").split("/") if word not in {"", "v1"}]
    found: Json = {
        "operationId": "_".join([method.lower(), *words]),
        "summary": query.summary,
        "tags": ["operators" if query.operators else "readers"],
        "parameters": [_parameter(one) for one in parameters],
        "responses": {"200": {"description": "The answer.", "content": content}, **refusals},
    }
    if query.operators:
        found["security"] = []
        found["servers"] = [{"url": "http://127.0.0.1:8081"}]
    if query.body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": query.body}},
        }
    return found


def _parameter(one: Parameter) -> Json:
    return {
        "name": one.name,
        "in": "query",
        "required": one.required,
        "description": one.description,
        "schema": one.schema,
    }


def _refusal(said: str) -> Json:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": said, "content": content}


async def answer_openapi(_pool: Pool, _asked: Asked) -> Json:
    """Answer `/v1/openapi.json`."""
    return build_openapi(list_queries())


OPENAPI = Query(answer_openapi, "This document.", (), {"type": "object"})
