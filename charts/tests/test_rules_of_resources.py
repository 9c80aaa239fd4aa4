"""Rules of the resources (CEL): each refusal names a field that there is."""

from pathlib import Path

import pytest
import yaml

CRDS = sorted((Path(__file__).parents[2] / "crds").glob("*.metertwin.io.yaml"))


def schemas(node: dict, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], dict]]:
    """Return (path, schema) of a schema and of all in it."""
    found = [(path, node)]
    for name, below in node.get("properties", {}).items():
        found += schemas(below, (*path, name))
    for word in ("items", "additionalProperties"):
        if isinstance(node.get(word), dict):
            found += schemas(node[word], (*path, word))
    return found


def root(crd: Path) -> dict:
    (version,) = yaml.safe_load(crd.read_text())["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize("crd", CRDS, ids=lambda path: path.name.split(".")[0])
def test_a_rule_of_the_whole_object_names_its_field(crd):
    """Else the API server calls it `<nil>`."""
    for rule in root(crd).get("x-kubernetes-validations", []):
        assert rule["fieldPath"] == "." + rule["message"].split()[0], rule["message"]


@pytest.mark.parametrize("crd", CRDS, ids=lambda path: path.name.split(".")[0])
def test_every_field_that_a_rule_names_exists(crd):
    named = 0
    for path, schema in schemas(root(crd)):
        for rule in schema.get("x-kubernetes-validations", []):
            below = schema
            for name in rule.get("fieldPath", "").split(".")[1:]:
                assert name in below["properties"], (path, rule["fieldPath"])
                below = below["properties"][name]
                named += 1
    assert named
