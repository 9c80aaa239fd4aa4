"""Write docs/reference/archive-api.json (OpenAPI) and archive-api.md from the archive's queries.

`--check` fails on drift. Neighbours: `meter_archive.openapi`; `tools/generate.py` calls this.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meter_archive.openapi import REFUSALS, build_openapi
from meter_archive.queries import list_queries

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"
Json = dict[str, Any]
HEAD = """# The archive's HTTP API

Generated from the descriptions beside the queries (in `archive/src/`) by `make generate`; do
not edit. [archive-api.json](archive-api.json) is the same as OpenAPI 3.1; the archive serves it as
`/v1/openapi.json`.

"""


def type_of(schema: Json) -> str:
    """Return how a type reads in a table."""
    if "enum" in schema:
        return " \\| ".join(f"`{one}`" for one in schema["enum"])
    if schema["type"] == "array":
        return f"list of {type_of(schema['items'])}"
    kinds: list[str] = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    text = str(schema.get("format", "string"))
    named = [text if one == "string" else one for one in kinds]
    return " or ".join(named)


def rows_of(schema: Json, path: str = "") -> Iterator[str]:
    """Yield the lines of an object's members and all below them."""
    for name, member in schema.get("properties", {}).items():
        optional = "" if name in schema.get("required", ()) else "not always there. "
        said = (optional + member.get("description", "")).replace("|", "\\|")
        yield f"| `{path}{name}` | {type_of(member)} | {said} |"
        below = member.get("items", member)
        mark = f"{path}{name}[]." if "items" in member else f"{path}{name}."
        yield from rows_of(below, mark)


def section(method: str, path: str, found: Json) -> Iterator[str]:
    """Yield the lines of one question."""
    yield f"## `{method.upper()} {path}`\n"
    where = " Port 8081 only." if "operators" in found["tags"] else ""
    yield f"{found['summary']}{where}\n"
    if found["parameters"]:
        yield "| parameter | type | what |"
        yield "| --- | --- | --- |"
        for one in found["parameters"]:
            default = one["schema"].get("default")
            said = f"{one['description']} Default `{default}`." if default else one["description"]
            yield f"| `{one['name']}` | {type_of(one['schema'])} | {said} |"
        yield ""
    if "requestBody" in found:
        yield "| member of the body | type | what |"
        yield "| --- | --- | --- |"
        yield from rows_of(found["requestBody"]["content"]["application/json"]["schema"])
        yield ""
    content = found["responses"]["200"]["content"]
    lines = list(rows_of(content["application/json"]["schema"]))
    if lines:
        yield "| member of the answer | type | what |"
        yield "| --- | --- | --- |"
        yield from lines
        yield ""


def page_of(document: Json) -> str:
    """Return the page."""
    lines = [document["info"]["description"], "", "## Refusals", ""]
    lines += ['`{"error": {"field": "every", "message": "is no known length", "remedy": "…"}}`', ""]
    lines += ["| status | when |", "| --- | --- |"]
    lines += [f"| {status} | {said} |" for status, said in REFUSALS.items()]
    lines.append("")
    for path, methods in document["paths"].items():
        for method, found in methods.items():
            lines += section(method, path, found)
    return HEAD + "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Return 0 unless a file differs from its source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail on drift, write nothing")
    check = parser.parse_args().check
    document = build_openapi(list_queries())
    texts = {
        "archive-api.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n",
        "archive-api.md": page_of(document),
    }
    differing = [
        name
        for name, text in texts.items()
        if not (DOCS / name).exists() or (DOCS / name).read_text() != text
    ]
    for name in differing:
        if check:
            print(f"docs/reference/{name} differs from the archive's queries", file=sys.stderr)
        else:
            (DOCS / name).write_text(texts[name])
    return 1 if check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
