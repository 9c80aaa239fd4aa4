"""Says whether a text gives away a key or a register value. Pure; neighbour: `test_secrets`.

A number alone says nothing: 230 is a voltage or a port. A number of six digits that a meter shows
is no chance, a shorter one counts where it stands as a register's value: beside its OBIS code,
before its unit, under the name of its quantity (from three digits on), or as a metric that nobody
has judged yet.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

PRIVATE_KEY = re.compile(r"PRIVATE KEY")
DISTINCTIVE = 6
"""Numbers with fewer digits are also ports, process ids and times."""
NEAR = 60
NUMBER = re.compile(r"(?<![\w.-])(?<!\w\[)-?\d+(?:\.\d+)?(?![\w-]|\.\d)")
QUANTITY = re.compile(
    r"(?i)(?:energy|power|demand|voltage|current|frequency|import|export|value)\w*"
    r"[\"']?\s*[:=]\s*[\"']?(-?\d{3,}(?:\.\d+)?)(?![\w-]|\.\d)"
)
UNIT = re.compile(r"(?<![\w.-])(-?\d+(?:\.\d+)?)\s?[\"']?(W|Wh|var|varh|V|A|Hz)(?!\w)")
SAMPLE = re.compile(r"(?m)^([a-zA-Z_:][\w:]*)(?:\{[^}\n]*\})? (\S+)")
THOUSANDTHS = {"V", "A", "Hz"}

_TWIN = (
    "epoch ready broker_connected meter_heard_seconds entries_stored_total commits_total"
    " frames_refused_total conflicts_total store_failures_total memory_peak_bytes"
)
_OPERATOR = (
    "process_ python_ controller_runtime_reconcile workqueue_depth metertwin_meters"
    " metertwin_watch_last_event_age_seconds metertwin_api_writes metertwin_messages_refused"
    " metertwin_handover metertwin_profile metertwin_meter_certificates metertwin_archive"
)
KNOWN_SERIES = frozenset(f"metertwin_twin_{name}" for name in _TWIN.split())
KNOWN_PREFIXES = tuple(_OPERATOR.split())
"""Judged: none of them shows a register."""


class Register(NamedTuple):
    """One value of one register: its code, the forms in which it may be printed, its unit."""

    code: str
    forms: frozenset[str]
    unit: str


def parse_registers(rows: Iterable[Mapping[str, Any]]) -> set[Register]:
    """Return the values of readings, as the plugin gives them; the 0-0 codes are no measurement."""
    found = set()
    for row in rows:
        for code, register in row["registers"].items():
            value, unit = register["value"], register["unit"]
            if code.startswith("0-0:") or not isinstance(value, int | float):
                continue
            forms = {str(value)}
            if unit in THOUSANDTHS or isinstance(value, float):
                forms |= {str(round(value * 1000)), f"{value:.3f}"}
            found.add(Register(code, frozenset(forms), unit))
    return found


def find_keys(text: str, keys: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yield the name of each key that a text has in any form."""
    yield from (name for name, forms in keys.items() if any(form in text for form in forms))
    if PRIVATE_KEY.search(text):
        yield "a private key"


def find_values(text: str, registers: Iterable[Register]) -> set[str]:
    """Return a phrase for each register value that a text gives away, and for unjudged metrics."""
    by_code: dict[str, set[str]] = {}
    by_unit: dict[str, set[str]] = {}
    for register in registers:
        by_code.setdefault(register.code, set()).update(register.forms)
        by_unit.setdefault(register.unit, set()).update(register.forms)
    values = set().union(*by_code.values())
    found = {
        f"the value {number}"
        for number in NUMBER.findall(text)
        if number in values and len(re.sub(r"\D", "", number)) >= DISTINCTIVE
    }
    for code, forms in by_code.items():
        found |= {f"the value {number} of {code}" for number in _beside(text, code) & forms}
    for number, unit in UNIT.findall(text):
        if number in by_unit.get(unit, ()):
            found.add(f"the value {number} {unit}")
    found |= {
        f"the value {number} by name" for number in QUANTITY.findall(text) if number in values
    }
    return found


def _beside(text: str, code: str) -> set[str]:
    """Return the numbers on the same line as a full code, or right after its short form."""
    found = set()
    for place in re.finditer(rf"(?<!\d){re.escape(code)}(?!\d)", text):
        before = text[max(0, place.start() - NEAR) : place.start()].rpartition("\n")[2]
        after = text[place.end() : place.end() + NEAR].partition("\n")[0]
        found |= {*NUMBER.findall(before), *NUMBER.findall(after)}
    short = re.escape(code.partition(":")[2].partition("*")[0])
    after_short = rf"(?<![\d.]){short}(?:\*\d+)?[\"'\s]*[:=][\"'\s]*(-?\d+(?:\.\d+)?)(?![\w-]|\.\d)"
    return found | set(re.findall(after_short, text))


def find_unknown_series(metrics: str) -> set[str]:
    """Return the series of a text of Prometheus that nobody has judged yet."""
    names = {name for name, _ in SAMPLE.findall(metrics)}
    return {n for n in names - KNOWN_SERIES if not n.startswith(KNOWN_PREFIXES)}
