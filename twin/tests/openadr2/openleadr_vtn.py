"""A VTN of openleadr as a process of its own: it keeps settings in classes, for all VTNs of one.

Arguments: one JSON object. Commands come as JSON lines on stdin, what happens goes out as JSON
lines: {"ready": true}, {"registered": name}, {"opt": …}, {"report": …}.
"""

import asyncio
import datetime as dt
import json
import logging
import sys
import warnings

warnings.simplefilter("ignore")
from openleadr import OpenADRServer, utils  # noqa: E402 - after its warnings are off
from openleadr.objects import Interval  # noqa: E402

logging.getLogger("openleadr").setLevel(logging.ERROR)


def tell(**what):
    sys.__stdout__.write(json.dumps(what, default=str) + "\n")
    sys.__stdout__.flush()


class Vtn:
    def __init__(self, settings):
        self.registered = {}
        self._asks_status = settings.get("asks_status", False)
        self._knows = settings.get("knows", True)
        self._fingerprint = settings.get("fingerprint")
        tls = {f"http_{name}": settings[name] for name in ("cert", "key", "ca_file") if name in settings}  # fmt: skip
        signing = {"cert": settings.get("cert"), "key": settings.get("key")} if settings.get("signs") else {}  # fmt: skip
        self.server = OpenADRServer(
            vtn_id="utility",
            http_host=settings.get("host", "127.0.0.1"),
            http_port=settings["port"],
            requested_poll_freq=dt.timedelta(seconds=settings.get("poll_s", 1)),
            ven_lookup=self.look_up if self._knows else None,
            verify_message_signatures=bool(settings.get("signs")),
            show_fingerprint=False,
            **tls,
            **signing,
        )
        self.server.add_handler("on_create_party_registration", self.register)
        self.server.add_handler("on_register_report", self.register_report)

    def look_up(self, ven_id):
        return self.registered.get(ven_id)

    async def register(self, info):
        name = info["ven_name"]
        ven_id = f"ven-of-{name}"
        self.registered[ven_id] = {
            "ven_id": ven_id,
            "ven_name": name,
            "registration_id": f"reg-of-{name}",
            "fingerprint": self._fingerprint or info.get("fingerprint"),
        }
        tell(registered=name)
        return ven_id, f"reg-of-{name}"

    async def register_report(
        self,
        ven_id,
        resource_id,
        measurement,
        unit,
        scale,
        min_sampling_interval,
        max_sampling_interval,
    ):
        del scale, max_sampling_interval  # openleadr calls it by these names
        tell(offered={"ven": ven_id, "resource": resource_id, "measurement": measurement, "unit": unit})  # fmt: skip

        if measurement == "Status" and not self._asks_status:
            return None  # openleadr 0.5.36 answers such a report with 500 (KeyError: 'value')

        async def take(data):
            rows = [[at.timestamp(), value] for at, value in data]
            tell(report=rows, unit=unit, ven=ven_id)

        return take, min_sampling_interval

    async def obey(self, command):
        if command["do"] == "event":
            start = dt.datetime.fromtimestamp(command["start_s"], dt.UTC)
            span = dt.timedelta(seconds=command["duration_s"])
            self.server.add_event(
                ven_id=command["ven_id"],
                signal_name=command.get("signal", "SIMPLE"),
                signal_type=command.get("type", "level"),
                intervals=[Interval(dtstart=start, duration=span, signal_payload=command["value"])],
                event_id=command["event_id"],
                market_context="http://utility.example/peak",
                response_required=command.get("response_required", "always"),
                callback=self.opted,
            )
            if "tolerance_s" in command:
                tolerance = {"startafter": dt.timedelta(seconds=command["tolerance_s"])}
                utils.setmember(
                    self.server.events[command["ven_id"]][-1], "active_period.tolerance", tolerance
                )
        if command["do"] == "cancel":
            self.server.cancel_event(command["ven_id"], command["event_id"])
        tell(obeyed=command["do"])

    async def opted(self, ven_id, event_id, opt_type):
        tell(opt={"ven": ven_id, "event": event_id, "opt": opt_type})


async def main():
    vtn = Vtn(json.loads(sys.argv[1]))
    sys.stdout = sys.stderr
    await vtn.server.run()
    tell(ready=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        await vtn.obey(json.loads(line))


if __name__ == "__main__":
    asyncio.run(main())
