"""A twin that takes over while load control is stopped: the limits of the one before end too."""

import time
from types import SimpleNamespace

import pytest
from meter_twin.application import Context
from meter_twin.applications.demand_response import DemandResponse
from meter_twin.demand_response.dr_event import MICRO, DrEvent, Interval, Signal
from meter_twin.demand_response.event_book import EventBook, Kept, Opt
from meter_twin.demand_response.opt_rules import STOPPED
from meter_twin.option_schema import apply_schema
from meter_twin.utility_loop import UtilityLoop
from meter_wire.commands import Write


class Loads:
    """What `LoadControl` is asked."""

    def __init__(self, *, is_stopped):
        self.is_stopped = is_stopped
        self.inherited = []

    def inherit(self, limit):
        self.inherited.append(limit)


async def take_over(opt, *, is_stopped=True, **options):
    """Return what a new twin releases that knows of an active event."""
    signal = Signal("SIMPLE", "level", "", (Interval(0, 3600, 2 * MICRO),))
    event = DrEvent("peak-1", 0, 0, "", int(time.time()) - 60, 3600, (signal,))
    found = apply_schema(DemandResponse.option_schema, {"load": 1, "highWatts": 900} | options, "")
    application = DemandResponse(found, Context("house-1", "", "UTC", 900))

    async def nothing():
        return False

    talk = SimpleNamespace(
        book=EventBook([Kept(event, opt, 0)]),
        standing=None,
        look=nothing,
        ask_next=nothing,
        listen=nothing,
    )
    loads = Loads(is_stopped=is_stopped)
    loop = UtilityLoop(
        talk, lambda: True, loads, {"demand-response": application}, lambda: None, lambda *_: None
    )
    await loop._speak()
    await loop._hold_load()
    return loads.inherited


async def test_what_was_accepted_is_released_before_the_house_is_taken_out_of_it():
    assert await take_over(Opt(True)) == [Write("load", 900, index=1, seconds=600)]


@pytest.mark.parametrize(
    ("opt", "changes"),
    [(STOPPED, {}), (Opt(True), {"through": "ems"})],
    ids=["out of it already", "no limit of the meter"],
)
async def test_where_nothing_was_limited_nothing_is_moved(opt, changes):
    assert await take_over(opt, **changes) == []
