"""A house with a profile of many days: its readings go the way that a meter's go, without a meter.

Neighbours: `test_delivery` (figures against pandas), `test_performance` (what is kept, and when).
"""

import datetime as dt
import json
from zoneinfo import ZoneInfo

from meter_twin.application import Context
from meter_twin.application_host import ApplicationHost
from meter_twin.applications.demand_response import DemandResponse
from meter_twin.applications.metering_data import MeteringData
from meter_twin.demand_response.dr_event import MICRO, DrEvent, Interval, Signal
from meter_twin.demand_response.event_book import Kept, Opt
from meter_twin.option_schema import apply_schema
from meter_twin.performance_keeper import build_performance_keeper
from meter_twin.store import Batch, Store
from meter_twin.utility_memory import UtilityMemory
from meter_wire.obis import parse_code
from meter_wire.portable.entry import encode_reading, encode_register

ZONE = "Europe/Brussels"
QUARTER_S, DAY_S, HOUR = 900, 86_400, 3600
IMPORT = parse_code("1-0:1.8.0*255")
A, B = b"A" * 8, b"B" * 8


def at(text, zone=ZONE, fold=0):
    """Return the UTC second of a local time such as 2026-06-18T18:00."""
    return int(
        dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()
    )


def make_event(start_s, span_s=2 * HOUR, event_id="peak", name="SIMPLE", **changes):
    signal = Signal(name, "level", "", (Interval(0, span_s, 2 * MICRO),))
    return DrEvent(event_id, 0, 0, "", start_s, span_s, (signal,), **changes)


def take_part(event, offset_s=0, is_in=True, cancelled_s=None):
    return Kept(event, Opt(is_in), offset_s, cancelled_s)


class House:
    """A store, the applications on it, and who keeps what events brought."""

    def __init__(self, path, *, zone=ZONE, metering=True, dr=True, **options):
        options = {"baseline": "10-of-10", **options}
        self.store = Store(str(path))
        self.context = Context("house-1", "point", zone, QUARTER_S)
        self.settings = metering, dr, options
        self.seq = dict.fromkeys((A, B), 0)
        self.register_wh = 0
        self.restart()

    def restart(self):
        """Build everything anew on what is stored."""
        metering, dr, options = self.settings
        built = {"utility": (UtilityMemory, UtilityMemory())}
        if metering:
            checked = apply_schema(MeteringData.option_schema, {}, "options")
            built["metering-data"] = (MeteringData, MeteringData(checked, self.context))
        acting = {}
        if dr:
            checked = apply_schema(DemandResponse.option_schema, options, "options")
            acting["demand-response"] = DemandResponse(checked, self.context)
            built["demand-response"] = (DemandResponse, acting["demand-response"])
        self.host = ApplicationHost(self.store, built)
        self.keeper = build_performance_keeper(self.host, acting)

    def read(self, readings, incarnation=A):
        """Store (UTC second, Wh of the register, perhaps status) and feed the applications."""
        raws = []
        for time_s, energy_wh, *rest in readings:
            self.seq[incarnation] += 1
            status, registers = (*rest, 0)[0], [encode_register(IMPORT, energy_wh)]
            raws.append((self.seq[incarnation], encode_reading(status, time_s, 0, 1, registers)))
        if raws:
            last = self.seq[incarnation]
            self.store.ingest([Batch(incarnation, raws, (), last, bytes(16))], 0)
        while self.host.step(0):
            pass

    def use(self, until_s, find_wh, since_s=None, find_status=lambda _: 0):
        """Go on with quarter hours up to a moment; both are asked by the start of each."""
        if since_s is not None:
            self.now_s = since_s
            self.read([(since_s, self.register_wh)])
        rows = []
        while self.now_s < until_s:
            self.register_wh += find_wh(self.now_s)
            status = find_status(self.now_s)
            self.now_s += QUARTER_S
            rows.append((self.now_s, self.register_wh, status))
        self.read(rows)

    def look(self, now_s, *kept):
        self.keeper.step(kept, now_s)
        return self.rows

    @property
    def rows(self):
        """What `GET /v1/dr` says of events."""
        return json.loads(json.dumps(self.host.answer("dr", {}, 0)))["performance"]
