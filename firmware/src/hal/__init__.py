"""What the firmware needs of a board; nothing else imports `machine` and `network`.

`open_board(declaration)` returns a `Board` for the port that runs: `esp32`, `esp8266`, or `unix`,
which has nothing and says so. Everybody above talks to the small objects that it hands out:

- uart: `read()` → octets that are there, maybe none; `write(octets)`
- counter: `count()` → pulses since boot; `period_us()` → mean time between two, 0 without one
- output: `set(is_on)`; which level means "on" is in the declaration
- input: `is_on()`
- sampler (ESP32): `read()` → (voltages, currents, samples in a thousand seconds), or None
- `set_clock(utc_s)` sets the board's own clock, by which TLS judges certificates
- network: `poll(now_ms)` → whether the board is connected; `address()`

A declaration is a dictionary (`firmware/boards/*.json`, here the module `board`): `port`, `chip`,
`pins`, `uarts`; pins go by the names of their purpose. Neighbours: what measures and switches uses
them, `main` opens.
"""

import sys


class BoardError(ValueError):
    """The board's declaration lacks what is asked for; the text is `field: fault; remedy`."""


def open_board(declaration: dict):
    """Return the board of this port.

    Raises:
        BoardError: the declaration is for another port.
    """
    port = declaration.get("port", "unix")
    here = "unix" if sys.platform in ("linux", "darwin") else sys.platform
    if port != here:
        raise BoardError(
            "port: the board's is %s, this is %s; install the right one" % (port, here)
        )
    if port == "esp32":
        from hal.esp32 import Board  # noqa: PLC0415
    elif port == "esp8266":
        from hal.esp8266 import Board  # noqa: PLC0415
    else:
        from hal.unix import Board  # noqa: PLC0415
    return Board(declaration)
