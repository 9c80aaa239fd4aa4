"""Why there is no session with the broker, in words with the remedy. Neighbour: `messenger`."""

import ssl

from aiomqtt.exceptions import MqttConnectError
from meter_wire.names import OPERATOR_USER, TRUST_CONFIG_MAP


class RivalError(Exception):
    """Somebody else connects as us: this process must end, so that it is seen."""

    def __init__(self, sessions: int) -> None:
        """Say what was seen."""
        super().__init__(
            f"{sessions} broker sessions in a row were ended within seconds: another client uses"
            f" the certificate of {OPERATOR_USER} (an operator of another release or cluster?), or"
            " the broker keeps restarting; ending this process"
        )


def find_first(error: BaseException) -> BaseException:
    """Return the first error of a group, or the error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def describe_error(error: BaseException, broker: str, *, connected: bool) -> str:
    """Say what ended or prevented a session, and what to do about it."""
    error = find_first(error)
    if connected:
        return f"broker {broker}: connection lost: {error}"
    if isinstance(error, MqttConnectError):
        return (
            f"broker {broker}: refuses the user {OPERATOR_USER}: {error}; it must take the user"
            " name from the certificate (docs/how-to/external-broker.md); trying again"
        )
    if isinstance(error, ssl.SSLError) or isinstance(error.__context__, ssl.SSLError):
        return (
            f"broker {broker}: no TLS session: {error}; its certificate must be signed by the CA of"
            f" ConfigMap {TRUST_CONFIG_MAP} and name this host; trying again"
        )
    return (
        f"broker {broker}: no session: {error}; it is away, or it does not accept our certificate"
        " (its log says which); trying again"
    )
