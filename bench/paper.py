"""The reference paper's scenarios 1 and 3 and its Table II, measured on the real parts.

Programs of `reference_paper/` measure in network namespaces of their own and give delays; this
makes figures, verdicts and pictures of them. What is assumed about the paper is in
docs/explanation/reference-paper.md.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from figure import Figure, figure, percentile

PROGRAMS = Path(__file__).parent / "reference_paper"
sys.path.append(str(PROGRAMS))

import table_two  # noqa: E402 - after the path
from cdf_chart import draw  # noqa: E402
from distribution import to_one_way_ms  # noqa: E402
from link_profile import CLOUDS, NB_IOT, WIFI, ZONE, Profile  # noqa: E402
from table_two import Rule, Verdict, judge, least_count  # noqa: E402

MOST_S = 3600
PLACES = ("edge", "cloud", "peers")
Results = dict[str, dict[str, Any]]

ABSENT = {
    "100 negotiation iterations": "nothing negotiates between twins yet",
    "G2V and V2G of a vehicle": "no application speaks with a charger: measured are the commands "
    "that one would send, a limit of the meter's load and 512 octets to the home's EMS",
    "demand response at the poll interval of a real utility": "the twin polls once a second here, "
    "the shortest that the VTN asks for; a longer interval adds up to itself",
}


class Delay(NamedTuple):
    """One of the paper's delays: a series of round trips of one place."""

    name: str
    what: str
    place: str
    series: str
    link: Profile | None
    paper: str
    goal: tuple[str, float] | None = None


class Service(NamedTuple):
    """A row of Table II, measured at one place."""

    rule: Rule
    what: str
    place: str
    series: str


SCENARIO_1 = (
    Delay("t1", "meter and twin at the edge", "edge", "forward", WIFI, "no figure known"),
    Delay("t1'", "meter and twin in the cloud", "cloud", "forward", NB_IOT, "no figure known"),
)
SCENARIO_3 = (
    Delay("t5", "two twins on one host", "peers", "host", None, "< 0.6 ms", ("<", 0.6)),
    Delay("t5'", "two twins on two hosts", "peers", "zone", ZONE, "< 2.6 ms", ("<", 2.6)),
    Delay("t5''", "two twins in two clouds", "peers", "clouds", CLOUDS, "no figure known"),
)
_ECHO = (
    "512 octets from the twin over the broker and the meter to the home's EMS, and the same octets "
    "back: real twin, Mosquitto with mutual TLS, firmware on MicroPython's unix port"
)
_QUESTION = (
    "a question with 512 octets by the twin's own client on port 8443, mutual TLS 1.3, one open "
    "connection; the answer is /v1/identity"
)
_WHAT = {
    "reading": "from the end of the capture period until the twin has stored the reading, looked "
    "at ten times a second",
    "live": "all registers, asked from the meter by the twin",
    "cached": "newest registers, by a recipient over port 8443 between clouds",
    "day": "as many readings as a day has quarter hours, taken every second, by a recipient over "
    "port 8443 between clouds",
    "event": "from the VTN's event until the meter has acknowledged the limit of its load; the "
    "twin polls once a second, which is half a second of it, and looks once a second what its "
    "load may draw",
    "price": "from the VTN's event until the home's energy management has its price over the "
    "meters' broker; the twin polls once a second and looks every three seconds what is new",
    "load": "a limit of the meter's load, acknowledged by the meter",
    "forward": _ECHO,
}
SERVICES = (
    *(Service(table_two.AMI, f"AMI, {place}", place, "reading") for place in ("edge", "cloud")),
    *(
        Service(table_two.ON_DEMAND, f"on-demand reading, {place}", place, "live")
        for place in ("edge", "cloud")
    ),
    Service(table_two.ON_DEMAND, "on-demand reading, cached", "peers", "cached"),
    Service(table_two.MULTI_INTERVAL, "multi-interval reading, from the twin", "peers", "day"),
    *(
        Service(table_two.DEMAND_RESPONSE, f"demand response, {place}", place, "event")
        for place in ("edge", "cloud")
    ),
    *(
        Service(table_two.PRICING, f"pricing, {place}", place, "price")
        for place in ("edge", "cloud")
    ),
    *(Service(table_two.G2V, f"G2V, {place}", place, "load") for place in ("edge", "cloud")),
    *(Service(table_two.V2G, f"V2G, {place}", place, "forward") for place in ("edge", "cloud")),
)
CACHED_GOAL_MS = 40


def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """Return all figures and write the pictures beside the results."""
    results: Results = {}
    for places in [PLACES] if quick else [(place,) for place in PLACES]:
        results |= run(places, quick=quick)
    for number, delays in ((1, SCENARIO_1), (3, SCENARIO_3)):
        picture = draw_scenario(number, delays, results)
        (folder / f"paper_scenario_{number}.svg").write_text(picture)
    how = "compressed: one after the other instead of one a minute"
    if quick:
        how += ", and all places at once"
    found = [
        one
        for delay in (*SCENARIO_1, *SCENARIO_3)
        for one in figures_of_delay(delay, results[delay.place], how)
    ]
    found += figures_of_twins(results)
    return found + [
        one for service in SERVICES for one in figures_of_service(service, results[service.place])
    ]


def run(places: Sequence[str], *, quick: bool) -> Results:
    """Return what the programs of these places have measured, all at once.

    Raises:
        RuntimeError: one failed; its own words are on standard error.
    """
    options = ["--quick"] if quick else []
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        started = {}
        for place in places:
            command = [sys.executable, str(PROGRAMS / "measure.py"), place, f"{name}/{place}"]
            started[place] = stack.enter_context(subprocess.Popen([*command, *options]))
            stack.callback(started[place].kill)  # whatever happens; all that it started ends, too
        for place, process in started.items():
            if process.wait(MOST_S):
                raise RuntimeError(f"measure.py {place} ended with {process.returncode}")
        return {place: json.loads(Path(name, place).read_text()) for place in places}


def describe(link: Profile | None, result: dict[str, Any]) -> str:
    """Return the link of a delay in words."""
    if link is None:
        return "two network namespaces joined by a veth pair, no delay added"
    by = "tc netem" if result["netem"] else "link_emulator.py, because this kernel has no netem"
    return (
        f"link {link.name} by {by}: each way {link.delay_ms} ms ± {link.jitter_ms} ms "
        f"({link.distribution}), {link.loss_percent} % lost, {link.rate_kbit} kbit/s; {link.source}"
    )


def known(delays: Sequence[float | None]) -> list[float]:
    """Return the delays of what was not lost."""
    return [one for one in delays if one is not None]


def figures_of_delay(delay: Delay, result: dict[str, Any], how: str) -> list[Figure]:
    """Return median and 99th percentile of one of the paper's delays."""
    series = result["delays_s"][delay.series]
    found = to_one_way_ms(series)
    what = _ECHO if delay.series == "forward" else _QUESTION
    method = (
        f"half of {len(series)} round trips, {len(series) - len(found)} lost, {how}; {what}; "
        f"{describe(delay.link, result)}; the paper: {delay.paper}"
    )
    name = f"{delay.name}, {delay.what}, one way"
    return [
        figure(name, found, "ms", method, delay.goal),
        figure(f"{name}, p99", percentile(found, 0.99), "ms", method),
    ]


def figures_of_twins(results: Results) -> list[Figure]:
    """Return what no other figure says: a cached read, and the poll in demand response."""
    cached = [one * 2 for one in to_one_way_ms(results["peers"]["delays_s"]["cached"])]
    name = "cached on-demand read by the utility, round trip"
    method = f"{_WHAT['cached']}; {describe(CLOUDS, results['peers'])}; the paper: < 40 ms"
    answers = [results[place]["delays_s"]["conversation"] for place in ("edge", "cloud")]
    said = "of demand response: from the VTN's event until it has the twin's answer"
    return [
        figure(name, cached, "ms", method, ("<", CACHED_GOAL_MS)),
        figure(f"{name}, p99", percentile(cached, 0.99), "ms", method),
        figure("poll and answer, round trip", known([*answers[0], *answers[1]]), "s", said),
    ]


def figures_of_service(service: Service, result: dict[str, Any]) -> list[Figure]:
    """Return delay and reliability of one service against its rule."""
    delays = result["delays_s"][service.series]
    verdict, rule = judge(service.rule, delays), service.rule
    method = f"{_WHAT[service.series]}; {verdict.lost} of {verdict.sent} lost"
    if rule.strict_s == rule.loose_s and rule.strict_percent > rule.least_percent:
        method += f"; {describe_strict(verdict)}"
    sign = ">" if rule.is_above else ">="
    name = f"Table II, {service.what}"
    found = [
        figure(f"{name}, delay", known(delays), "s", method),
        figure(f"{name}, delay, p99", percentile(known(delays), 0.99), "s", method),
        figure(
            f"{name}, within {rule.loose_s:g} s", verdict.within_loose, "%", method,
            (sign, rule.least_percent),
        ),
    ]  # fmt: skip
    if rule.strict_s < rule.loose_s:
        note = f"{method}; {describe_strict(verdict)}"
        share = figure(f"{name}, within {rule.strict_s:g} s", verdict.within_strict, "%", note)
        found.append(share)
    return found


def describe_strict(verdict: Verdict) -> str:
    """Return what the delays are worth against the strict end of a rule's range."""
    rule = verdict.rule
    said = {
        True: "met",
        False: "missed",
        None: f"too few to tell, it takes {least_count(rule.strict_percent):,}",
    }
    return f"strict end of the range, {rule.strict_percent} %: {said[verdict.met_strict]}"


def draw_scenario(number: int, delays: Sequence[Delay], results: Results) -> str:
    """Return the picture of a scenario's delays."""
    series = {
        f"{delay.name}: {delay.what}": to_one_way_ms(results[delay.place]["delays_s"][delay.series])
        for delay in delays
    }
    return draw(f"Scenario {number}: share of messages that have arrived", series)
