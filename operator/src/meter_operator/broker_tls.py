"""The TLS of the operator's session with the broker. Neighbour: `messenger`."""

import ssl

from meter_operator.settings import Settings


def build_context(settings: Settings) -> ssl.SSLContext:
    """Return a context with our certificate that trusts what the chart mounts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(settings.trust)
    context.load_cert_chain(settings.identity / "tls.crt", settings.identity / "tls.key")
    return context
