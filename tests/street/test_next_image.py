"""The image of the next version of the twin as it is built: the stock one and a small layer."""

import json
import pathlib
import tarfile

import pytest

IMAGES = pathlib.Path(__file__).parents[2] / "build/images"
MOST_BYTES = 100_000

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="session", autouse=True)
def street():
    """Nothing of the running street is needed here."""


def read(name):
    """Return (names, layers, configuration) of an archive."""
    path = IMAGES / f"{name}.tar"
    if not path.exists():
        pytest.skip(f"no image: tools/images/build {name}")
    with tarfile.open(path) as archive:

        def document(digest):
            return json.load(archive.extractfile(f"blobs/{digest.replace(':', '/')}"))

        rows = json.load(archive.extractfile("index.json"))["manifests"]
        manifest = document(rows[0]["digest"])
        names = [row["annotations"]["org.opencontainers.image.ref.name"] for row in rows]
        return names, manifest["layers"], document(manifest["config"]["digest"])["config"]


def test_the_next_version_shares_the_layer_of_the_stock_twin():
    _, stock, stock_configuration = read("twin")
    _, layers, configuration = read("twin-next")
    assert layers[:-1] == stock
    assert layers[-1]["size"] < MOST_BYTES, "it is no copy"
    assert configuration["Env"] == stock_configuration["Env"]
    assert configuration["User"] == stock_configuration["User"]


def test_the_next_version_is_named_by_its_content_and_by_its_version():
    record = json.loads((IMAGES / "twin-next.json").read_text())
    names, _, _ = read("twin-next")
    repository = "localhost/metertwin/twin"
    assert names == [f"{repository}:{record['tag']}", f"{repository}:next"]
    assert record["tag"] == f"next-{record['content'][:12]}"
