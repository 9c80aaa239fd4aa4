"""Every manifest in docs and examples is accepted by the real API server, every value by the chart."""

import json
import re

import demo
import pytest
import yaml

pytestmark = pytest.mark.demo

BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [demo.ROOT / "README.md", *sorted((demo.ROOT / "docs").rglob("*.md"))]
OWN = "metertwin.io/v1alpha1"
OF_KUBERNETES = {"v1", "networking.k8s.io/v1"}
"""What an example has beside resources of ours."""
CHART = demo.ROOT / "charts/metertwin"


def blocks():
    """Return the YAML of every page, and of every example, with where it stands."""
    for page in PAGES:
        for number, text in enumerate(BLOCK.findall(page.read_text()), 1):
            yield f"{page.relative_to(demo.ROOT)}#{number}", text
    for path in sorted((demo.ROOT / "examples").glob("*.yaml")):
        yield str(path.relative_to(demo.ROOT)), path.read_text()


BLOCKS = dict(blocks())
MANIFESTS = {where: text for where, text in BLOCKS.items() if "apiVersion:" in text}
VALUES = {where: text for where, text in BLOCKS.items() if where not in MANIFESTS}


def test_the_pages_are_found():
    assert len(MANIFESTS) >= 4
    assert len(VALUES) >= 4


@pytest.mark.parametrize("where", MANIFESTS)
def test_the_api_server_takes_a_manifest_of_the_documentation(where):
    objects = [one for one in yaml.safe_load_all(MANIFESTS[where]) if one]
    for one in objects:
        assert one["apiVersion"] in {OWN, *OF_KUBERNETES}
        # what a page shows need not be complete beside the running street: a name of its own
        one["metadata"] = {**one["metadata"], "name": f"page-{one['metadata']['name']}"}
        one["metadata"].pop("namespace", None)
        one["spec"].pop("device", None)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    demo.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", text=text)


@pytest.mark.parametrize("where", VALUES)
def test_the_chart_takes_the_values_of_the_documentation(where, tmp_path):
    path = tmp_path / "values.yaml"
    path.write_text(VALUES[where])
    demo.run("helm", "template", "metertwin", str(CHART), "-f", str(path))
