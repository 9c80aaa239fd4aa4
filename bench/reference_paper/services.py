"""What is asked of meters and twins, and how long each answer took: seconds, None for lost.

Neighbours: `lane` (a meter and its twin), `utility_side` (the VTN), `measure` (the order).
"""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from distribution import find_delays
from harness import DEVICE, NAMESPACE
from lane import Lane, LocalApi
from network import Place
from processes import wait_for
from utility_side import UtilitySide

Delays = list[float | None]
PAYLOAD = bytes(range(256)) * 2
"""512 octets, as in the paper."""
TTL_S, LIVE_S = 30, 30
EVENT_S = 600
MOST_WAIT_S = 120
LOOK_S = 0.1
PEER_READ = Path(__file__).parents[2] / "twin/bench/peer_read.py"
PEER_ASK = Path(__file__).parent / "peer_ask.py"


def in_lanes(
    lanes: Sequence[Lane], count: int, work: Callable[[Lane, int], Delays], *, at_once: bool
) -> Delays:
    """Share `count` questions among the lanes, in all at once or in one after the other."""
    shares = [count // len(lanes) + (lane.number < count % len(lanes)) for lane in lanes]
    with ThreadPoolExecutor(len(lanes) if at_once else 1) as pool:
        return [one for found in pool.map(work, lanes, shares) for one in found]


def forward(lane: Lane, count: int) -> Delays:
    """Twin → broker → meter → EMS and back, 512 octets in each direction."""
    api = LocalApi(lane)
    return [api.forward(PAYLOAD, TTL_S) for _ in range(count)]


def read_live(lane: Lane, count: int) -> Delays:
    """All registers, asked from the meter."""
    api = LocalApi(lane)
    return [api.read_live(LIVE_S) for _ in range(count)]


def limit_load(lane: Lane, count: int) -> Delays:
    """A limit of the meter's load, acknowledged by the meter."""
    api = LocalApi(lane)
    return [api.limit_load(1000 + number) for number in range(count)]


def peer_reads(lane: Lane, place: Place, path: str, count: int) -> Delays:
    """Reads of a recipient of the data policy on port 8443, over one open connection."""
    command = [sys.executable, str(PEER_READ), place.here, str(lane.folder / "reader")]
    command += ["--port", str(lane.peer_port), "--path", path, "--count", str(count)]
    return _run(place.command(command))


def peer_asks(lane: Lane, place: Place, count: int) -> Delays:
    """Questions of another twin on port 8443, with 512 octets in each."""
    command = [sys.executable, str(PEER_ASK), f"{place.here}:{lane.peer_port}", DEVICE, NAMESPACE]
    command += [str(lane.folder / "peer"), str(count), str(len(PAYLOAD))]
    return _run(place.command(command))


def _run(command: list[str]) -> Delays:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise RuntimeError(f"{Path(command[-1]).name}: {done.stderr.strip()[-500:]}")
    found: list[float | None] = json.loads(done.stdout)
    return [None if one is None else one / 1000 for one in found]


class Readings:
    """Looks ten times a second up to which number a twin has stored its meter's readings."""

    def __init__(self, lane: Lane) -> None:
        """Begin to look; what is stored already does not count."""
        self._lane = lane
        self._api = LocalApi(lane)
        self._marks = self._api.find_marks()
        self._seen: dict[tuple[str, int], float] = {}
        self._first_s = (int(time.time()) // lane.period_s + 2) * lane.period_s
        self._is_over = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._looking = self._pool.submit(self._look)

    def _look(self) -> None:
        while not self._is_over.wait(LOOK_S):
            marks, now_s = self._api.find_marks(), time.time()
            for incarnation, mark in marks.items():
                known = self._marks.get(incarnation, 0)
                self._seen |= {(incarnation, seq): now_s for seq in range(known + 1, mark + 1)}
            self._marks = marks

    def end(self, patience_s: float) -> Delays:
        """Wait for the last ones; return the delays from capture until the twin has stored."""
        last_s = int(time.time()) // self._lane.period_s * self._lane.period_s
        api = LocalApi(self._lane)
        end = time.monotonic() + patience_s
        while time.monotonic() < end and last_s not in api.list_readings().values():
            time.sleep(1)
        time.sleep(2 * LOOK_S)  # what has just been stored is seen
        self._is_over.set()
        self._looking.result()
        self._pool.shutdown()
        moments = api.list_readings()
        arrivals = {moments[one]: at for one, at in self._seen.items() if one in moments}
        return find_delays(arrivals, self._first_s, last_s, self._lane.period_s)


class Events:
    """Demand response events, one after the other; each is cancelled when its limit is there."""

    def __init__(self, utility: UtilitySide) -> None:
        """`conversations`: from the VTN's event until its answer from the twin."""
        self._utility = utility
        self.conversations: Delays = []

    def send(self, lane: Lane, count: int) -> Delays:
        """From the VTN's event until the meter has acknowledged the limit of its load."""
        return [self._send(lane, f"event-{lane.number}-{number}") for number in range(count)]

    def _send(self, lane: Lane, name: str) -> float | None:
        ven = f"ven-of-{lane.ven_name}"
        before, begun_s = len(find_limits(lane)), time.time()
        start = {"start_s": int(begun_s) - 1, "duration_s": EVENT_S, "value": 1 + before % 4 // 2}
        self._utility.say(do="event", ven_id=ven, event_id=name, **start)
        answered = {"ven": ven, "event": name, "opt": "optIn"}
        told_s, limited_s = self._wait(lane, before, answered)
        self._utility.say(do="cancel", ven_id=ven, event_id=name)
        self.conversations.append(None if told_s is None else told_s - begun_s)
        if limited_s is None:
            return None
        self._wait(lane, before + 1, None)
        return limited_s - begun_s

    def _wait(
        self, lane: Lane, before: int, answered: dict[str, Any] | None
    ) -> tuple[float | None, float | None]:
        """Return when the VTN had its answer and when the meter acknowledged, None for never."""

        def is_done() -> bool:
            is_answered = answered is None or self._utility.find("opt", answered) is not None
            return is_answered and len(find_limits(lane)) > before

        try:
            wait_for(is_done, "the limit is told", MOST_WAIT_S, 0.05)
        except AssertionError:
            limits = find_limits(lane)[before:]
            return self._utility.find("opt", answered), limits[0] if limits else None
        return self._utility.find("opt", answered), find_limits(lane)[before]


class Prices:
    """Prices of the utility, one after the other; each is cancelled when the home has it."""

    def __init__(self, utility: UtilitySide) -> None:
        """Say nothing yet."""
        self._utility = utility

    def send(self, lane: Lane, count: int) -> Delays:
        """From the VTN's event until the home's energy management has its price."""
        return [self._send(lane, number) for number in range(count)]

    def _send(self, lane: Lane, number: int) -> float | None:
        ven, name = f"ven-of-{lane.ven_name}", f"price-{lane.number}-{number}"
        price, begun_s = round(0.1 + number / 1000, 3), time.time()
        said = {"signal": "ELECTRICITY_PRICE", "type": "price", "value": price}
        start = {"start_s": int(begun_s) - 1, "duration_s": EVENT_S}
        self._utility.say(do="event", ven_id=ven, event_id=name, **start, **said)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: price in find_prices(lane), "the home has it", MOST_WAIT_S, LOOK_S)
        self._utility.say(do="cancel", ven_id=ven, event_id=name)
        heard_s = find_prices(lane).get(price)
        return None if heard_s is None else heard_s - begun_s


def find_prices(lane: Lane) -> dict[float, float]:
    """Return when the home's energy management heard each price first."""
    rows = [json.loads(one) for one in lane.price_ear.log.splitlines() if one.startswith('{"at"')]
    return {round(one["price"], 3): one["at"] for one in rows}


def find_limits(lane: Lane) -> list[float]:
    """Return when the meter had acknowledged each limit of its load, by the twin's log."""
    lines = [json.loads(one) for one in lane.twin.log.splitlines() if '"load limit told"' in one]
    moments = [datetime.fromisoformat(one["time"]) for one in lines if one["state"] == "ok"]
    return [moment.timestamp() for moment in moments]
