"""The twin's image as it is built: every module loads in it, and an export can be sealed.

Works on the archive that the image build leaves, unpacked and entered with chroot; needs neither a
cluster nor the street, but root and an image.
"""

import datetime as dt
import json
import os
import pathlib
import subprocess
import tarfile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ARCHIVE = pathlib.Path(__file__).parents[2] / "build/images/twin.tar"
CHECK = """
import importlib, pkgutil, meter_twin, meter_wire, nacl.public
from meter_twin.registry import APPLICATIONS, ENGINES, find_application, find_engine
loaded = []
for package in (meter_twin, meter_wire):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if found.name != "meter_twin.xml_signatures":  # it loads in the image twin-signed
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

HANDSHAKE = """
import hashlib, ssl, sys
key, version = sys.argv[1:]
limits = dict(minimum_version=ssl.TLSVersion[version], maximum_version=ssl.TLSVersion[version])
server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
client.load_verify_locations(key)
server.load_verify_locations(key)
server.verify_mode = ssl.CERT_REQUIRED
for context in (server, client):
    context.load_cert_chain(key)
    for name, value in limits.items():
        setattr(context, name, value)
up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
ends = [server.wrap_bio(up, down, server_side=True), client.wrap_bio(down, up, server_hostname="t")]
for _ in range(10):
    for end in ends:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
print(ends[0].version(), ends[0].getpeercert()["subject"][0][0][1], ends[1].cipher()[0])
"""
STORE = """
from meter_twin.store_schema import open_database
own = open_database("/tmp/store.db")
mode, sync = (
    own.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
)
own.execute("CREATE TABLE t (a INTEGER, b INTEGER, c TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID")
own.execute("CREATE INDEX by_c ON t (c)")
for text in ("first", "a reading of yesterday"):
    upsert = "INSERT INTO t VALUES (1, 2, ?) ON CONFLICT (a, b) DO UPDATE SET c = excluded.c"
    own.execute(upsert, (text,))
found = own.execute("SELECT c FROM t INDEXED BY by_c WHERE (a, b) >= (1, 2) AND c > ''").fetchone()
own.execute("DELETE FROM t")
own.execute("PRAGMA wal_checkpoint(TRUNCATE)")
own.close()
own = open_database("/tmp/store.db")
with open("/tmp/store.db", "rb") as file:
    gone = b"of yesterday" not in file.read()
options = {name for (name,) in own.execute("PRAGMA compile_options")}
print(mode, sync, found[0] == text, gone, *options & {"THREADSAFE=1", "ENABLE_FTS3"})
"""
KEYS = {
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "RSA": rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}

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
            # by tar itself: TarFile's argument `filter` came with 3.11.4, Debian 12 has 3.11.2
            unpack = ["tar", "--extract", "--directory", folder]
            subprocess.run(unpack, input=blob(layer["digest"]).read(), check=True)
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


def write_certificate(path, key):
    """Write key and self-signed certificate of `t` as one PEM file."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "t")])
    now = dt.datetime.now(dt.UTC)
    hours = dt.timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - hours).not_valid_after(now + hours)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("t")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )  # fmt: skip
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(pem, pkcs8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(pem))
    path.chmod(0o644)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("kind", KEYS)
def test_the_openssl_of_the_image_speaks_mutual_tls_with_the_usual_keys(image, kind, version):
    write_certificate(image[0] / "tmp/key.pem", KEYS[kind])
    done = run(image, *interpreter(image), "-c", HANDSHAKE, "/tmp/key.pem", version)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == [version.replace("_", "."), "t"]


def test_the_image_has_the_openssl_that_its_record_names(image):
    parts = json.loads(ARCHIVE.with_suffix(".json").read_text())["debian"]
    is_small = any(part.startswith("src:openssl=") for part in parts)  # else Debian's own (ADR 11)
    ciphers = "import ssl; ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(%r)"
    kept = run(image, *interpreter(image), "-c", ciphers % "ECDHE+AESGCM")
    left_out = run(image, *interpreter(image), "-c", ciphers % "ARIA:CAMELLIA")
    assert kept.returncode == 0, kept.stderr
    assert ("No cipher can be selected" in left_out.stderr) == is_small


def test_the_image_has_the_sqlite_that_its_record_names(image):
    parts = json.loads(ARCHIVE.with_suffix(".json").read_text())["debian"]
    is_small = any(part.startswith("src:sqlite3=") for part in parts)  # else Debian's own (ADR 11)
    done = run(image, *interpreter(image), "-c", STORE)
    assert done.returncode == 0, done.stderr
    mode, sync, found, gone, *options = done.stdout.split()
    assert (mode, sync, found) == ("wal", "2", "True")
    assert gone == "True", "a deleted reading is still in the file"
    assert set(options) == {"THREADSAFE=1"} | (set() if is_small else {"ENABLE_FTS3"})


def test_the_heap_of_the_image_grows_and_shrinks_by_little(image):
    assert {"MALLOC_TOP_PAD_=4096", "MALLOC_TRIM_THRESHOLD_=65536"} <= set(image[1]["Env"])
