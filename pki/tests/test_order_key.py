"""The utility's key signs what a meter's own code takes for genuine, and no other key is taken."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from meter_pki.authority import CredentialError
from meter_pki.order_key import OrderKey
from meter_wire.portable.order import verifier

KEY = ec.derive_private_key(1 << 200, ec.SECP256R1())


def pem(key, passphrase=None):
    none = serialization.NoEncryption()
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else none
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_a_meter_with_the_public_key_takes_its_signatures_for_genuine(passphrase):
    key = OrderKey.load(pem(KEY, passphrase), passphrase)
    genuine = verifier(bytes.fromhex(key.public_hex))
    assert genuine(b"order", key.sign(b"order"))
    assert not genuine(b"Order", key.sign(b"order"))


@pytest.mark.parametrize(
    ("text", "passphrase", "why"),
    [
        (pem(KEY, b"secret"), None, "needs a passphrase"),
        (pem(KEY, b"secret"), b"other", "passphrase is wrong"),
        (pem(KEY), b"secret", "has no passphrase"),
        (pem(ed25519.Ed25519PrivateKey.generate()), None, "P-256"),
        (pem(ec.generate_private_key(ec.SECP256K1())), None, "P-256"),
        (b"no key", None, "no private key"),
    ],
)
def test_a_file_that_cannot_sign_orders_is_refused_with_the_reason(text, passphrase, why):
    with pytest.raises(CredentialError, match=why):
        OrderKey.load(text, passphrase)
