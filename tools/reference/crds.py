"""Write docs/reference/crds.md from the resources in crds/; `--check` fails when it has drifted.

Neighbour: `tools/generate.py` calls it.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "reference" / "crds.md"
HEAD = """# Resources

Generated from `crds/` by `make generate`; do not edit. A spec that breaks a rule below is refused
when it is applied; what needs a second object (the profile, a Secret, another meter) is said in
the condition `Ready`, with the field's path.
"""
HIDDEN = ("apiVersion", "kind", "metadata")


def kind_of(schema: dict[str, Any]) -> str:
    """Return how a field's type reads in the table."""
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind_of(schema['items'])}"
    if "additionalProperties" in schema:
        return f"map to {kind_of(schema['additionalProperties'])}"
    return str(schema.get("type", "any"))


def limits_of(schema: dict[str, Any]) -> list[str]:
    """Return bounds and rules of one field, in words."""
    words = {
        "minimum": "at least {}",
        "maximum": "at most {}",
        "maxLength": "at most {} characters",
        "maxItems": "at most {} items",
        "maxProperties": "at most {} entries",
    }
    found = [text.format(schema[name]) for name, text in words.items() if name in schema]
    return found + [rule["message"] for rule in schema.get("x-kubernetes-validations", [])]


def rows_of(schema: dict[str, Any], path: str, required: bool) -> list[str]:
    """Return the table's lines for a field and all that is below it."""
    default = "required" if required else ""
    if "default" in schema and not isinstance(schema["default"], dict):
        default = f"`{schema['default']!r}`".replace("'", '"')
    text = f"{str(schema.get('description', '')).strip()} {_said(schema)}"
    text = text.strip().replace("|", "\\|")
    lines = [f"| `{path}` | {kind_of(schema)} | {default} | {text} |"] if path else []
    lines += _below(schema, path)
    items = schema.get("items") or schema.get("additionalProperties")
    if isinstance(items, dict):
        mark = "[]" if "items" in schema else ".*"
        lines += _below(items, f"{path}{mark}")
        rules = _said(items)
        if rules and not items.get("properties"):
            lines.append(f"| `{path}{mark}` | {kind_of(items)} |  | {rules} |")
    return lines


def _said(schema: dict[str, Any]) -> str:
    limits = "; ".join(limits_of(schema))
    return f"({limits})" if limits else ""


def _below(schema: dict[str, Any], path: str) -> list[str]:
    lines: list[str] = []
    needed = schema.get("required", [])
    for name, child in schema.get("properties", {}).items():
        if path or name not in HIDDEN:
            lines += rows_of(child, f"{path}.{name}".lstrip("."), name in needed)
    return lines


def section(crd: dict[str, Any]) -> str:
    """Return the section of one resource."""
    spec, names = crd["spec"], crd["spec"]["names"]
    version = spec["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    short = ", ".join(f"`{name}`" for name in [names["plural"], *names.get("shortNames", [])])
    lines = [
        f"## {names['kind']}",
        "",
        schema["description"].strip(),
        "",
        f"`{spec['group']}/{version['name']}`, namespaced; {short}.",
        "",
    ]
    rules = [f"- {rule}" for rule in limits_of(schema)]
    lines += ["Rules of the whole resource:", "", *rules, ""] if rules else []
    lines += ["| field | type | default | meaning and limits |", "| --- | --- | --- | --- |"]
    lines += rows_of(schema, "", required=False)
    lines += ["", "Columns of `kubectl get`:", ""]
    for column in version["additionalPrinterColumns"]:
        wide = " (`-o wide`)" if column.get("priority") else ""
        lines.append(f"- {column['name'].upper()}{wide}: `{column['jsonPath']}`")
    return "\n".join(lines) + "\n"


def render() -> str:
    """Return the whole page."""
    files = sorted((ROOT / "crds").glob("*.metertwin.io.yaml"))
    parts = [section(yaml.safe_load(file.read_text(encoding="utf-8"))) for file in files]
    return "\n".join([HEAD, *parts])


def main() -> int:
    """Return 0 when the page is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = render()
    if parser.parse_args().check:
        return 0 if TARGET.is_file() and TARGET.read_text(encoding="utf-8") == text else 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
