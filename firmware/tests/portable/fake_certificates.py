"""Certificates with the layout of RFC 5280 and nothing in them but a serial number and a key."""

from binascii import b2a_base64


def element(tag, content):
    """Return one element of DER."""
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


def encode_key(key):
    """Return the SubjectPublicKeyInfo of a key."""
    return element(0x30, element(0x30, b"") + element(3, b"\0" + key))


def encode_certificate(serial, key, version=True, valid_from=b"\x17\x0d260101000000Z"):
    """Return a certificate; without `version` it is one of X.509's first."""
    content = element(0xA0, element(2, b"\x02")) if version else b""
    content += element(2, bytes([serial]))
    content += element(0x30, b"algorithm") + element(0x30, b"issuer" * 30)
    content += element(0x30, valid_from + b"until") + element(0x30, b"subject")
    content += encode_key(key) + element(0xA3, b"extensions" * 20)
    return element(0x30, element(0x30, content) + element(0x30, b"") + element(3, bytes(70)))


def to_pem(der):
    """Return the PEM form."""
    text = b2a_base64(der).strip()
    body = b"\n".join([text[at : at + 64] for at in range(0, len(text), 64)])
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"\n-----END CERTIFICATE-----\n"
