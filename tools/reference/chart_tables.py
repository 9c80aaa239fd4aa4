"""Write docs/reference/values.md and rbac.md: the chart's values, and who may do what.

Sources: values.yaml (defaults, `# --` comments), values.schema.json (types and bounds), and the
roles in the chart's templates. The templates are read without Helm, by replacing the few
expressions that stand in roles; charts/tests/test_render.py compares it with Helm.
`--check` fails when a page has drifted. Neighbour: `tools/generate.py` calls it.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "metertwin"
sys.path.insert(0, str(ROOT / "tools" / "chart"))

from generate import value_rows  # noqa: E402 - tools/chart/generate.py

VALUES_HEAD = """# Values of the chart

Generated from `values.yaml` and `values.schema.json` of the chart by `make generate`; do not edit.
Helm refuses a value that is not in this table or breaks its limits, and names it.

| value | type and limits | default | what it is |
| --- | --- | --- | --- |
"""
RBAC_HEAD = """# Who may do what

Generated from the chart's roles by `make generate`; do not edit. Names are those of a release with
the default `fullnameOverride` in the namespace `metertwin`. Twins have an account without any right
and without a token. No role has a wildcard; nobody may list Secrets.

| role | where | may | on | names |
| --- | --- | --- | --- | --- |
"""
SCOPES = {
    "metertwin-operator": "each namespace with meters, and the release's",
    "metertwin-archive": "each namespace with meters, if `archive.enabled`",
    "metertwin-metertwin-nodes": "the cluster, if `operator.watchNodes`",
    "metertwin-meter-reader": "each namespace with meters",
    "metertwin-meter-operator": "each namespace with meters",
    "metertwin-meter-admin": "each namespace with meters",
    "metertwin-test": "first namespace with meters, during `helm test`",
    "metertwin-pki-init": "the release's namespace, during installation and upgrade",
    "metertwin-pki": "the release's namespace, for the renewal's CronJob",
}
TEMPLATES = (
    "archive/rbac.yaml",
    "operator/nodes.yaml",
    "roles/people.yaml",
    "roles/aggregated.yaml",
    "tests/smoke.yaml",
)


def resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Return a schema node, or the definition that it refers to."""
    if "$ref" not in node:
        return node
    found: dict[str, Any] = schema["definitions"][node["$ref"].rsplit("/", 1)[-1]]
    return found


def find_node(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the schema of a value.

    Raises:
        KeyError: the schema does not know it.
    """
    node = schema
    for name in path.split("."):
        node = resolve(schema, node)["properties"][name]
    return resolve(schema, node)


def kind_of(schema: dict[str, Any], node: dict[str, Any]) -> str:
    """Return type and limits in words."""
    node = resolve(schema, node)
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    kind = str(node.get("type", "any"))
    if kind == "array":
        kind = f"list of {kind_of(schema, node.get('items', {}))}"
    words = {
        "minimum": "at least {}",
        "maximum": "at most {}",
        "minLength": "{} characters or more",
        "maxLength": "at most {} characters",
        "pattern": "`{}`",
    }
    limits = [text.format(node[name]) for name, text in words.items() if name in node]
    return ", ".join([kind, *limits]).replace("|", "\\|")


def render_values() -> str:
    """Return the page of values.

    Raises:
        KeyError: a value has no schema.
    """
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    rows = value_rows((CHART / "values.yaml").read_text(encoding="utf-8"))
    lines = [
        f"| `{row.path}` | {kind_of(schema, find_node(schema, row.path))} | `{row.default}` "
        f"| {row.description} |"
        for row in rows
    ]
    return VALUES_HEAD + "\n".join(lines) + "\n"


def plain(text: str, names: dict[str, str]) -> str:
    """Return a template of roles as YAML: control lines dropped, expressions replaced."""
    text = re.sub(r"\{\{-? ?/\*.*?\*/ ?-?\}\}", "", text, flags=re.DOTALL)
    kept = []
    for line in text.splitlines():
        if re.fullmatch(r"\s*(\{\{.*\}\})?\s*", line) and line.strip() != "- {{ . }}":
            continue
        short = re.sub(r"\{\{-? .*\| n?indent \d+ \}\}", "", line)  # labels, scripts
        kept.append(re.sub(r"\{\{-? *(.*?) *-?\}\}", lambda found: names[found[1]], short))
    return "\n".join(kept)


def roles() -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Yield (kind, name, rules) of every role of the chart."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    operator = yaml.safe_load((ROOT / "operator" / "rbac.yaml").read_text(encoding="utf-8"))
    yield "Role", "metertwin-operator", operator["rules"]
    names = {
        ".Values.pki.caSecret": values["pki"]["caSecret"],
        ".Values.pki.fleetKeySecret": values["pki"]["fleetKeySecret"],
        'include "metertwin.operatorSecret" .': "metertwin-operator-tls",
        'include "metertwin.archiveSecret" .': "metertwin-archive-tls",
        'include "metertwin.archiveDatabaseSecret" .': "metertwin-archive-database-tls",
        'include "metertwin.postgresSecret" .': "metertwin-postgres-tls",
        'include "metertwin.fullname" .': "metertwin",
        ".": "metertwin-mosquitto-tls",
    }
    pki = (CHART / "templates" / "pki" / "_pki.tpl").read_text(encoding="utf-8")
    block = pki.split('{{- define "metertwin.pki.rules" -}}')[1].split("\n{{- end }}\n")[0]
    for name in ("metertwin-pki-init", "metertwin-pki"):
        yield "Role", name, yaml.safe_load(plain(block, names))
    own = {"roles/aggregated.yaml": "metertwin-metertwin", "tests/smoke.yaml": "metertwin-test"}
    own["operator/nodes.yaml"] = own["roles/aggregated.yaml"]
    for file in TEMPLATES:
        text = (CHART / "templates" / file).read_text(encoding="utf-8")
        for part in re.split(r"^---$", text, flags=re.MULTILINE):
            found = re.search(r"^kind: (Role|ClusterRole)$", part, re.MULTILINE)
            if found is None:
                continue
            places = {"$name": own.get(file, "metertwin"), ".Release.Namespace": "metertwin"}
            places |= {".": "meters", "$namespace": "meters"}
            body = yaml.safe_load(plain(part, names | places))
            yield found[1], body["metadata"]["name"], body["rules"]


def rule_rows(kind: str, name: str, rules: list[dict[str, Any]]) -> list[str]:
    """Return the table's lines of one role."""
    where = SCOPES.get(name, "the release's namespace")
    if kind == "ClusterRole" and name not in SCOPES:
        where = f"with the cluster's own `{name.rsplit('-', 1)[-1]}`"
    lines = []
    for rule in rules:
        group = rule["apiGroups"][0] or "core"
        things = ", ".join(f"`{resource}`" for resource in rule["resources"])
        limited = ", ".join(f"`{one}`" for one in rule.get("resourceNames", [])) or "all"
        lines.append(
            f"| `{name}` | {where} | {', '.join(rule['verbs'])} | {things} ({group}) | {limited} |"
        )
    return lines


def render_rbac() -> str:
    """Return the page of roles."""
    rows = [line for kind, name, rules in roles() for line in rule_rows(kind, name, rules)]
    return RBAC_HEAD + "\n".join(rows) + "\n"


def main() -> int:
    """Return 0 when both pages are as they should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail on drift, write nothing")
    check = parser.parse_args().check
    reference = ROOT / "docs" / "reference"
    drifted = False
    for name, text in (("values.md", render_values()), ("rbac.md", render_rbac())):
        path = reference / name
        if check:
            drifted |= not path.is_file() or path.read_text(encoding="utf-8") != text
        else:
            path.write_text(text, encoding="utf-8")
    return 1 if drifted else 0


if __name__ == "__main__":
    sys.exit(main())
