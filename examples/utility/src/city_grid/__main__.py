"""The command: `serve`, and what people ask a utility that serves; `--help` says how."""

import argparse
import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from urllib.parse import quote

from .control import HOST, PORT, ControlError, ask, build_control
from .settings import Settings, SettingsError, load_settings, load_vens

EXAMPLES = """\
A utility that speaks OpenADR 2.0b with its customers' VENs: each day a price for every hour, and
two peaks in which they are asked for less. All but `serve` ask one that runs on this machine:

  kubectl exec deploy/city-grid -- python3 -m city_grid state
  kubectl exec deploy/city-grid -- python3 -m city_grid peak --level 2 --in 30 --for 300
  kubectl exec deploy/city-grid -- python3 -m city_grid peak --for 600 --ven house-1 house-3
  kubectl exec deploy/city-grid -- python3 -m city_grid cancel ID
"""
TICK_S = 1.0


def build_parser() -> argparse.ArgumentParser:
    """Return what reads the arguments."""
    parser = argparse.ArgumentParser(
        prog="python3 -m city_grid",
        description=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    asking = argparse.ArgumentParser(add_help=False)
    port_help = f"control port of the utility ({PORT})"
    asking.add_argument("--control-port", type=int, default=PORT, metavar="PORT", help=port_help)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="be the utility, until told to stop")
    settings_help = "JSON; {} for the defaults (examples/utility/README.md)"
    serve.add_argument("--settings", required=True, metavar="FILE", help=settings_help)
    peak = commands.add_parser("peak", parents=[asking], help="ask for less; prints the event's id")
    level_help = "1 moderate, 2 high (the default), 3 special"
    peak.add_argument("--level", type=int, default=2, choices=(1, 2, 3), help=level_help)
    in_help = "seconds until it begins (0)"
    peak.add_argument("--in", type=int, default=0, metavar="S", dest="starts_in_s", help=in_help)
    for_help = "seconds that it lasts (300)"
    peak.add_argument("--for", type=int, default=300, metavar="S", dest="seconds", help=for_help)
    peak.add_argument("--ven", nargs="+", metavar="NAME", dest="vens", help="only these; else all")
    cancel = commands.add_parser("cancel", parents=[asking], help="withdraw an event")
    cancel.add_argument("id", help="as `peak` printed it, or of `state`")
    about = "VENs, events with what was answered, reports; JSON"
    commands.add_parser("state", parents=[asking], help=about)
    return parser


async def serve(settings: Settings, vens: dict[str, str]) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        OSError: a certificate cannot be used, or a port is taken.
    """
    from aiohttp import web  # noqa: PLC0415 - one second of imports, which the commands spare

    from .vtn import Vtn  # noqa: PLC0415

    stopped = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, stopped.set)
    vtn = Vtn(settings, vens)
    vtn.tick()
    runner = web.AppRunner(build_control(vtn, settings.programme), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, settings.control_port).start()
    await vtn.run()
    logging.getLogger("city_grid").info("serving %d VENs on port %d", len(vens), settings.port)
    while not stopped.is_set():
        vtn.tick()
        try:
            await asyncio.wait_for(stopped.wait(), TICK_S)
        except TimeoutError:
            continue
    await vtn.stop()
    await runner.cleanup()


def start_serving(path: str) -> None:
    """Read the settings and serve.

    Raises:
        SettingsError: a file cannot be used.
    """
    settings = load_settings(path)
    vens = load_vens(settings.vens)
    for name in ("certificate", "key", "ca"):
        file = getattr(settings, name)
        if not Path(file).is_file():  # ssl does not say which
            raise SettingsError(f"{path}: {name}: there is no file {file}")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("city_grid").setLevel(logging.INFO)
    try:
        asyncio.run(serve(settings, vens))
    except OSError as error:  # of ssl too
        raise SettingsError(f"{path}: cannot serve: {error}") from error


def obey(arguments: argparse.Namespace) -> str:
    """Do what a command says; return what it prints.

    Raises:
        ControlError: it was refused, or nobody serves here.
    """
    port = arguments.control_port
    if arguments.command == "state":
        return json.dumps(ask(port, "GET", "/state"), indent=1)
    if arguments.command == "cancel":
        ask(port, "DELETE", f"/events/{quote(arguments.id, safe='')}")
        return f"{arguments.id} is cancelled"
    wanted = {
        name: getattr(arguments, name) for name in ("level", "starts_in_s", "seconds", "vens")
    }
    return str(ask(port, "POST", "/events", wanted)["id"])


def main() -> int:
    """Return 0 when it was done; an error is one line."""
    arguments = build_parser().parse_args()
    try:
        if arguments.command == "serve":
            start_serving(arguments.settings)
        else:
            print(obey(arguments))  # noqa: T201
    except (SettingsError, ControlError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
