"""A VEN and openleadr's VTN with a proxy between them that spoils two of five exchanges.

Oracle (`fault_world`): one registration, each event that wants an answer gets one, each report
arrives once, random offsets stay, polls are bounded, and it recovers. FAULT_SEEDS=0-999 takes
other seeds than the few of each run; `make nightly` does.
"""

import os

import pytest
from fault_proxy import FAULTS
from fault_world import POLL_S, FaultWorld
from meter_twin import http_client
from vtn_process import VtnProcess

SEEDS = os.environ.get("FAULT_SEEDS", "0-6")


@pytest.mark.timeout(14_400)
async def test_whatever_happens_on_the_way_the_ven_recovers(monkeypatch):
    monkeypatch.setattr(http_client, "TIMEOUT_S", 0.4)
    first, _, last = SEEDS.partition("-")
    wrong, met = {}, set()
    async with VtnProcess(poll_s=POLL_S) as vtn:
        for seed in range(int(first), int(last or first) + 1):
            world = FaultWorld(vtn, seed)
            try:
                await world.run()
            except AssertionError as error:
                wrong[seed] = str(error)
            met |= {one.fault for one in world._proxy.exchanges.values()}
    assert not wrong, f"{wrong}; again: FAULT_SEEDS={min(wrong)}"
    assert met >= set(FAULTS), "each fault has happened"
