"""What a start makes of the board's declaration: front end, network, a first time. `main` calls it.

Nothing here is needed on the unix port without a module `board`, and nothing of it is then loaded.
"""

import os
import sys

from config import ConfigError


def find_board():
    """Return the board that the module `board` declares, None without one (the unix port).

    Raises:
        hal.BoardError: it is for another port.
    """
    try:
        from board import BOARD  # type: ignore # noqa: PLC0415 - made by the build
    except ImportError:
        return None
    from hal import open_board  # noqa: PLC0415

    return open_board(BOARD)


def make_front_end(config, board, timekeeper):
    """Return what measures: a simulated street, the board's chip, or else a constant load.

    Raises:
        ValueError: naming the field of the configuration or the declaration.
    """
    if config.electricity is not None:
        from electricity import load_electricity  # noqa: PLC0415

        utc_s, utc_ms = timekeeper.utc()
        return load_electricity(config.electricity, config.profiles, utc_s or 0, utc_ms)
    if board is None or board.declaration["chip"] == "simulated":
        from measuring import FixedFrontEnd  # noqa: PLC0415

        return FixedFrontEnd()
    from chip_front_end import build_front_end  # noqa: PLC0415

    return build_front_end(board.declaration, config.chip, board)


def make_ems(config, board, snapshot, local_action, uptime_ms):
    """Return the EMS port, over TCP, a serial line or both; None where neither is configured.

    Raises:
        ValueError: a serial line is configured, and there is none.
    """
    if config.ems_port is None and not config.ems_serial:
        return None
    from ems import EmsPort  # noqa: PLC0415

    port = EmsPort(config, snapshot, local_action)
    if config.ems_serial:
        if board is None:
            raise ConfigError("ems.serial: this machine has no board; leave it out")
        from serial_ems import SerialLine  # noqa: PLC0415

        port.line = SerialLine(board.uart("ems"), port, uptime_ms)
    return port


def open_credentials(config, timekeeper, tell, log) -> tuple:
    """Return (TLS context of the link, UTC second from which to renew what it is of, or 0).

    Args:
        config: see `config.Config`.
        timekeeper: its board is told that the certificate is valid by now.
        tell: (change) → None, records that a renewal cannot be used.
        log: (text) → None.

    Raises:
        config.ConfigError: what was provisioned does not load.
    """
    credentials = _make_credentials(config)
    try:
        context = credentials.open()
        timekeeper.tell_board(credentials.valid_from_s)
    except (OSError, ValueError):
        raise ConfigError("tls: ca, cert or key is not DER or PEM; provision the meter again")
    if credentials.fault:
        log("tls: the renewed certificate cannot be used; using the provisioned one")
        tell(credentials.fault)
    # Not needed until a renewal, years from now.
    for name in ("credential_store", "tls_client", "certificate"):
        sys.modules.pop(name, None)
    return context, credentials.renew_from_s


def _make_credentials(config):
    from credential_store import Credentials  # noqa: PLC0415
    from flash import Flash  # noqa: PLC0415
    from tls_client import tls_context  # noqa: PLC0415

    return Credentials(config.tls, Flash(config.state_dir), tls_context)


def make_renewing(config, boot: int, timekeeper, tell, log):
    """Return what renews the certificate."""
    from renewal import Renewal  # noqa: PLC0415
    from renewing import Renewing  # noqa: PLC0415

    credentials = _make_credentials(config)
    credentials.open()
    renewal = Renewal(config.device, config.key, boot, os.urandom)
    return Renewing(config, renewal, credentials, timekeeper, tell, log)


def add_network(supervisor, config, board, commands, uptime_ms, log) -> None:
    """Add the tasks of the wireless network and of a first time, as configured."""
    network = None
    if config.wifi is not None and board is not None:
        network = board.network(*config.wifi, config.device)
    if network is not None:
        from network_task import NetworkTask  # noqa: PLC0415

        supervisor.add("network", NetworkTask(network, uptime_ms, log).run)
    if config.sntp is not None:
        from sntp import Asking  # noqa: PLC0415

        clock, set_clock = commands.timekeeper.clock, commands.set_first_clock
        host, port = config.sntp
        asking = Asking(host, port, clock, set_clock, os.urandom, uptime_ms)
        supervisor.add("sntp", asking.run, 60000)
