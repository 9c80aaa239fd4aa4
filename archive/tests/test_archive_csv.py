"""Answers as CSV: RFC 4180, the schema's columns, and nothing that a spreadsheet would run."""

import csv
import io

import pytest
from access_world import AccessWorld
from meter_archive.csv_answer import build_csv, list_columns
from meter_archive.queries import list_queries
from meter_archive.schemas import record, several, text, whole

SCHEMA = record(
    "",
    {
        "unit": text(""),
        "devices": several("", record("", {
            "device": text(""),
            "buckets": several("", record("", {"value": whole("", missing=True), "flags": several("", text(""))})),
        })),
    },
)  # fmt: skip


def build(device, **bucket):
    document = {"unit": "Wh", "devices": [{"device": device, "buckets": [bucket]}]}
    return build_csv(document, SCHEMA, ("devices", "buckets"))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_a_name_that_looks_like_a_formula_is_a_text(start):
    name = f'{start}HYPERLINK("http://evil";1)'
    ((_, *_), (_, device, *_)) = csv.reader(io.StringIO(build(name, value=1), newline=""))
    assert device == "'" + name


def test_lines_end_with_cr_lf_and_quotes_are_doubled():
    assert build('a "b", c', value=-5, flags=["x", "y"]) == (
        'unit,device,value,flags\r\nWh,"a ""b"", c",-5,x y\r\n'
    )


def test_a_missing_value_is_empty_and_without_lines_there_is_a_header():
    assert build("a", value=None).endswith("Wh,a,,\r\n")
    assert (
        build_csv({"unit": "Wh", "devices": []}, SCHEMA, ("devices", "buckets")).count("\r\n") == 1
    )


def test_no_question_has_two_columns_of_one_name():
    for route, query in list_queries().items():
        if query.rows:
            names = [name for level in list_columns(query.answer, query.rows) for name in level]
            assert len(set(names)) == len(names), route


async def test_history_is_had_as_csv_by_parameter_or_header(url):
    async with AccessWorld(url) as world:
        await world.fill()
        token = await world.token()
        query = {"point": "P1", "from": "2026-11-02", "to": "2026-11-03", "every": "1d"}
        bearer = {"Authorization": f"Bearer {token}"}
        for params, accept in ((query | {"format": "csv"}, "*/*"), (query, "text/csv")):
            headers = bearer | {"Accept": accept}
            async with world.reader.get("/v1/history", params=params, headers=headers) as answer:
                assert answer.status == 200
                assert answer.headers["Content-Type"].startswith("text/csv")
                head, row = csv.reader(io.StringIO(await answer.text(), newline=""))
            found = dict(zip(head, row, strict=True))
            assert (found["meteringPoint"], found["value"], found["unit"]) == ("P1", "96000", "Wh")
