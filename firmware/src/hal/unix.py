"""The unix port: no pins, no chip, no network of its own; what it measures is simulated."""

from hal import BoardError


class Board:
    """See `hal`."""

    def __init__(self, declaration: dict) -> None:
        self.declaration = declaration

    def has_pin(self, _name: str) -> bool:
        """Return that there is none."""
        return False

    def output(self, name: str, is_on: bool = False):
        """Refuse."""
        del is_on
        raise BoardError("pins.%s: the unix port has no pins" % name)

    def input(self, name: str):
        """Refuse."""
        raise BoardError("pins.%s: the unix port has no pins" % name)

    def counter(self, name: str):
        """Refuse."""
        raise BoardError("pins.%s: the unix port has no pins" % name)

    def uart(self, name: str):
        """Refuse."""
        raise BoardError("uarts.%s: the unix port has no serial ports" % name)

    def network(self, ssid: str, password: str, hostname: str):
        """Return None: the machine's network is there or not."""
        del ssid, password, hostname

    def set_clock(self, utc_s: int) -> None:
        """Do nothing: the clock is the machine's."""

    def watchdog(self, timeout_ms: int):
        """Return None: there is none."""
        del timeout_ms

    def reset_cause(self) -> str:
        """Return that nobody knows."""
        return "unknown"
