"""TLS contexts of the meter's own connections: one that knows whom it talks to, one that does not.

On MicroPython and, for the tests, on CPython, whose `ssl` takes its own chain from files only.
Neighbours: `credential_store` makes the first, `renewing` the second; `mqtt_shell` opens either.
"""

try:
    import ssl
except ImportError:  # Debian's MicroPython
    import tls as ssl


def tls_context(anchors, certificate=None, key=None):
    """Return a context that accepts servers of these anchors only.

    Args:
        anchors: the CA certificates to trust, each DER or PEM bytes.
        certificate: the meter's own, DER or PEM bytes.
        key: its private key.

    Raises:
        OSError or ValueError: not a certificate or key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if hasattr(context, "load_default_certs"):
        for anchor in anchors:
            cadata = anchor if anchor[:1] == b"\x30" else anchor.decode()
            context.load_verify_locations(cadata=cadata)  # type: ignore - not on the ESP8266
        if certificate:
            _load_pair(context, certificate, key)
        return context
    context.verify_mode = ssl.CERT_REQUIRED  # type: ignore
    for anchor in anchors:  # mbedTLS appends each to its chain
        context.load_verify_locations(anchor)  # type: ignore - not on the ESP8266
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


def unverified_context():
    """Return a context that accepts any server: for what is authentic by itself, and only that."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if hasattr(context, "check_hostname"):  # CPython wants it off first
        context.check_hostname = False  # type: ignore
    context.verify_mode = ssl.CERT_NONE  # type: ignore
    return context


def _load_pair(context, certificate, key):
    import tempfile  # type: ignore # noqa: PLC0415 - not on MicroPython

    with tempfile.NamedTemporaryFile() as chain:
        for name, data in (("CERTIFICATE", certificate), ("PRIVATE KEY", key)):
            chain.write(_pem(name, data))  # type: ignore
        chain.flush()  # type: ignore
        context.load_cert_chain(chain.name)  # type: ignore


def _pem(name, data):
    import base64  # type: ignore # noqa: PLC0415 - not on MicroPython

    if data[:1] != b"\x30":
        return data
    if name == "PRIVATE KEY" and data[:10].find(b"\x02\x01\x01") > 0:
        name = "EC PRIVATE KEY"  # SEC 1 has version 1, PKCS 8 version 0
    body = base64.encodebytes(data).decode()
    return ("-----BEGIN %s-----\n%s-----END %s-----\n" % (name, body, name)).encode()
