"""There is a module ssl on the board; this model has no TLS behind it."""

PROTOCOL_TLS_CLIENT = 0


class SSLContext:
    """Refuses."""

    def __init__(self, _protocol: int) -> None:
        """Say so."""
        raise NotImplementedError("this model has no TLS")
