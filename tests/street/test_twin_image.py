"""The twin's image as it is built: every module loads in it, and an export can be sealed.

Works on the archive that the image build leaves, unpacked and entered with chroot; needs neither a
cluster nor the street, but root and an image.
"""

import json
import os
import pathlib
import subprocess
import tarfile

import pytest

ARCHIVE = pathlib.Path(__file__).parents[2] / "build/images/twin.tar"
CHECK = """
import importlib, pkgutil, meter_twin, meter_wire, nacl.public
from meter_twin.registry import APPLICATIONS, ENGINES, find_application, find_engine
loaded = []
for package in (meter_twin, meter_wire):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
        loaded.append(found.name)
assert all(find_application(name) for name in APPLICATIONS)
for name in ENGINES:
    engine = find_engine(name)()
    key = nacl.public.PrivateKey.generate()
    sealed = engine.seal(bytes(key.public_key), b"one reading")
    assert nacl.public.SealedBox(key).decrypt(sealed) == b"one reading"
print(*loaded)
"""

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="session", autouse=True)
def street():
    """Nothing of the running street is needed here."""


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Return (root file system, configuration) of the image."""
    if not ARCHIVE.exists():
        pytest.skip("no image of the twin: tools/images/build twin")
    if os.geteuid():
        pytest.skip("chroot needs root")
    folder = tmp_path_factory.mktemp("image")
    folder.chmod(0o755)  # it becomes / of another user
    with tarfile.open(ARCHIVE) as archive:

        def blob(digest):
            return archive.extractfile(f"blobs/{digest.replace(':', '/')}")

        index = json.load(archive.extractfile("index.json"))
        manifest = json.load(blob(index["manifests"][0]["digest"]))
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=blob(layer["digest"])) as tree:
                tree.extractall(folder, filter="fully_trusted")
        return folder, json.load(blob(manifest["config"]["digest"]))["config"]


def run(image, *arguments, user="65532:65532", timeout=60):
    """Run the image's entry point up to its code, then `arguments`."""
    folder, configuration = image
    environment = dict(pair.split("=", 1) for pair in configuration["Env"])
    command = ["chroot", f"--userspec={user}", folder, *arguments]
    return subprocess.run(
        command, env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", **environment},
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def interpreter(image):
    """Return the entry point without what it runs: interpreter and options."""
    entry = image[1]["Entrypoint"]
    return entry[: entry.index("-c") if "-c" in entry else entry.index("-m")]


def sources(package):
    root = ARCHIVE.parents[2] / package
    names = (path.relative_to(root.parent).with_suffix("") for path in root.rglob("*.py"))
    modules = (".".join(name.parts).removesuffix(".__init__") for name in names)
    return {name for name in modules if name != root.name}


def test_every_module_loads_in_the_image_and_an_export_is_sealed(image):
    options = [one for one in interpreter(image) if one != "-OO"]  # which drops CHECK's asserts
    done = run(image, *options, "-c", CHECK)
    assert done.returncode == 0, done.stderr
    missing = sources("twin/src/meter_twin") | sources("wire/src/meter_wire")
    assert missing - set(done.stdout.split()) == set()


def test_the_entry_point_reaches_the_check_of_the_configuration(image):
    done = run(image, *image[1]["Entrypoint"])
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["field"] == "METERTWIN_CONFIG"


def test_the_image_has_bytecode_only_and_writes_none(image):
    folder, configuration = image
    assert [path for path in (folder / "app").rglob("*.py") if "meter_" in str(path)] == []
    assert list((folder / "app").rglob("*.pyc"))
    assert "PYTHONDONTWRITEBYTECODE=1" in configuration["Env"]
