"""What `init` says goes into the log of a Job: nothing of a key is in it."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from meter_pki.__main__ import main
from meter_pki.authority import Authority, CredentialError
from meter_pki.init import ensure_installation

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PIECE = 8
"""So many characters of a key in a row are no chance."""


class MemorySecrets(dict):
    """Secrets by name; `keys_seen` has every key that was ever in one of them."""

    def __init__(self):
        super().__init__()
        self.keys_seen = set()

    def put(self, name, data):
        self[name] = data
        self.keys_seen |= {(name, data[field]) for field in ("tls.key", "master") if field in data}

    def find_secret(self, name):
        return self.get(name)

    def create_secret(self, name, _kind, data):
        self.put(name, data)
        return True

    def replace_secret(self, name, data):
        self.put(name, data)

    def ensure_config_map(self, _name, _data):
        pass


def spellings(key: bytes) -> list[str]:
    """Return how a key may look in a text."""
    found = [base64.b64encode(key).decode(), key.hex(), key.hex(" "), repr(key), str(list(key))]
    if b"PRIVATE KEY" in key:
        number = serialization.load_pem_private_key(key, None).private_numbers().private_value
        found += [*key.decode().splitlines(), f"{number:064x}", str(number)]
    else:
        found.append(str(int.from_bytes(key)))
    return found + [text.upper() for text in found]


def told(store: MemorySecrets, said: str) -> list[str]:
    """Return the Secrets of whose key a piece is in the text."""
    return [
        name
        for name, key in store.keys_seen
        for text in spellings(key)
        if any(text[at : at + PIECE] in said for at in range(len(text) - PIECE + 1))
    ]


def test_no_line_about_an_installation_has_a_piece_of_a_key(capsys, caplog):
    caplog.set_level(0)
    store = MemorySecrets()
    lines = []
    for later, what in [(0, "made"), (1, "kept"), (21, "renewed")]:
        new = ensure_installation(store, "ns", NOW + timedelta(days=later))
        assert any(what in line for line in new)
        lines += new
    signing = Authority.create(NOW)
    anchors = store["metertwin-ca"]["tls.crt"]
    ca = {"tls.crt": signing.certificate_pem, "tls.key": signing.key_pem, "anchors.crt": anchors}
    store.put("metertwin-ca", ca)
    lines += ensure_installation(store, "ns", NOW + timedelta(days=22))
    # The first CA and the one that follows, the fleet key, two parties with three keys each.
    assert len(store.keys_seen) == 2 + 1 + 2 * 3
    assert told(store, "\n".join([*lines, *capsys.readouterr(), caplog.text])) == []


def test_what_the_job_prints_has_no_piece_of_a_key(monkeypatch, capsys, caplog):
    caplog.set_level(0)
    store = MemorySecrets()
    monkeypatch.setattr("meter_pki.__main__.ClusterSecrets", lambda _namespace: store)
    monkeypatch.setattr("sys.argv", ["meter_pki", "init", "--namespace", "ns"])
    assert main() == 0
    out, err = capsys.readouterr()
    assert "fleet key metertwin-fleet-key: made" in out
    assert len(store.keys_seen) == 4
    assert told(store, out + err + caplog.text) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("metertwin-fleet-key", lambda data: {"master": data["master"][:31]}, id="a short fleet key"),
        pytest.param("metertwin-ca", lambda data: {**data, "tls.key": Authority.create(NOW).key_pem}, id="the key of another CA"),
        pytest.param("metertwin-ca", lambda data: {"tls.key": data["tls.key"]}, id="a key without a certificate"),
        pytest.param("metertwin-ca", lambda data: {**data, "tls.crt": data["tls.key"]}, id="a key in place of the certificate"),
        pytest.param("metertwin-ca", lambda data: {**data, "anchors.crt": data["tls.key"]}, id="a key among the anchors"),
        pytest.param("metertwin-ca", lambda data: {**data, "former.crt": data["tls.key"]}, id="a key among the former CAs"),
    ],
)  # fmt: skip
def test_a_refusal_has_no_piece_of_the_key_that_it_refuses(capsys, caplog, name, change):
    caplog.set_level(0)
    store = MemorySecrets()
    ensure_installation(store, "ns", NOW)
    store.put(name, change(store[name]))
    with pytest.raises(CredentialError) as refusal:
        ensure_installation(store, "ns", NOW)
    said = "".join([str(refusal.value), *capsys.readouterr(), caplog.text])
    assert said
    assert told(store, said) == []


def test_a_piece_of_a_key_would_be_noticed_however_it_is_spelled():
    store = MemorySecrets()
    ensure_installation(store, "ns", NOW)
    for name, key in store.keys_seen:
        for text in spellings(key):
            assert name in told(store, f"made {text[5 : 5 + PIECE]}, and more")
