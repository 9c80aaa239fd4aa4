"""token and audit: what is asked of the archive, held against its OpenAPI document, and printed."""

import json
from pathlib import Path

import jsonschema
import pytest

API = json.loads(
    (Path(__file__).parents[2] / "docs/reference/archive-api.json").read_text(encoding="utf-8")
)
POD = {
    "metadata": {"name": "metertwin-archive-1"},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}
TOKEN = {
    "name": "billing", "scope": "points", "label": "", "state": "is valid",
    "grants": [{"point": "P1", "since": "2026-03-01T00:00:00+00:00", "until": None}],
    "created": "2026-11-01T00:00:00+00:00", "expires": "2027-01-30T00:00:00+00:00", "lastUsed": None,
}  # fmt: skip
CREATED = TOKEN | {"token": "mta_secret"}


@pytest.fixture
def archive(world):
    world.put("pods", "metertwin-archive-1", POD)
    return world


def posted(world, path):
    """Return what was posted, which has to be as the archive's document says."""
    body = json.loads((world.folder / "posted.json").read_text())
    schema = API["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    jsonschema.validate(body, schema | {"additionalProperties": False})
    return body


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (["--all", "--expires", "1d"], {"all": True, "expires": "1d"}),
        (["--label", "feeder=F1"], {"label": "feeder=F1", "expires": "90d"}),
        (
            ["--point", "P1", "--point", "P2", "--since", "2026-03-01"],
            {"points": ["P1", "P2"], "since": "2026-03-01", "expires": "90d"},
        ),
    ],
)
def test_a_new_token_stands_alone_on_the_output(archive, options, sent):
    archive.answer({"POST /v1/tokens": [200, CREATED]})
    done = archive.run("token", "create", "billing", *options)
    assert (done.returncode, done.stdout) == (0, "mta_secret\n"), done.stderr
    assert "not shown again" in done.stderr
    assert posted(archive, "/v1/tokens") == {"name": "billing"} | sent


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ([], "--point"),
        (["--all", "--label", "a=b"], "--point"),
        (["--point", "P1"], "--since"),
    ],
)
def test_a_token_that_names_no_scope_is_not_asked_for(archive, options, field):
    done = archive.run("token", "create", "billing", *options)
    assert done.returncode == 2
    assert f"field:  {field}" in done.stderr
    assert not archive.lines("calls")


def test_what_the_archive_refuses_is_said_with_the_option(archive):
    fault = {"field": "expires", "message": "is no length of time", "remedy": "write 90d"}
    archive.answer({"POST /v1/tokens": [400, {"error": fault}]})
    done = archive.run("token", "create", "billing", "--all", "--expires", "x")
    assert done.returncode == 1
    assert "--expires is no length of time" in done.stderr


def test_tokens_are_listed_with_what_they_see(archive):
    label = TOKEN | {"name": "grid", "scope": "label", "label": "feeder=F1", "grants": []}
    archive.answer({"/v1/tokens": [200, {"tokens": [TOKEN, label]}]})
    _, first, second = archive.run("token", "list").stdout.splitlines()
    assert first.split()[:3] == ["billing", "P1", "2026-03-01.."]
    assert second.split()[:2] == ["grid", "feeder=F1"]
    assert json.loads(archive.run("token", "list", "-o", "json").stdout)["tokens"][0] == TOKEN


def test_a_token_is_revoked_and_its_tenure_ended(archive):
    done = [200, {"name": "billing"}]
    archive.answer({"POST /v1/tokens/revoke": done, "POST /v1/tokens/end": done})
    assert archive.run("token", "revoke", "billing").stdout == "billing is revoked\n"
    assert posted(archive, "/v1/tokens/revoke") == {"name": "billing"}
    done = archive.run("token", "end", "billing", "--until", "2026-09-01")
    assert done.stdout == "the tenure of billing ends 2026-09-01\n"
    assert posted(archive, "/v1/tokens/end") == {"name": "billing", "until": "2026-09-01"}


def test_the_audit_is_listed_with_the_way_to_older_lines(archive):
    line = {
        "number": 7, "time": "2026-11-01T00:00:00.5+00:00", "who": "billing", "address": "10.0.0.1",
        "route": "GET /v1/history", "parameters": "point=P1", "status": 200, "devices": 1,
        "rows": 2, "points": ["P1"],
    }  # fmt: skip
    asked = "/v1/audit?point=P1&from=2026-11-01&limit=1"
    archive.answer({asked: [200, {"accesses": [line], "next": 7}]})
    done = archive.run("audit", "--point", "P1", "--from", "2026-11-01", "--limit", "1")
    _, row = done.stdout.splitlines()
    assert row.split() == [
        "2026-11-01T00:00:00", "billing", "10.0.0.1", "200", "1", "GET", "/v1/history", "point=P1",
    ]  # fmt: skip
    assert "--before 7" in done.stderr
