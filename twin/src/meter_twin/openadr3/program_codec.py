"""Programs: what gives the values of an event their units (OpenADR 3.1.0, program).

Neighbours: `sweep` (asks for them), `event_mapping` (uses the units).
"""

from collections.abc import Mapping
from typing import NamedTuple

from .json_codec import Row, decode, find_text, get_row, get_rows

MOST_PROGRAMS = 50
RENEWED_S, AGAIN_S = 3_600, 300
"""A program is read again after that; one that could not be read, sooner."""
MOST_DESCRIPTORS = 50


class Unit(NamedTuple):
    """What values of a type are in (eventPayloadDescriptor); empty if it is not said."""

    units: str = ""
    currency: str = ""


Units = Mapping[str, Unit]


class Program(NamedTuple):
    """What a VEN needs of a program."""

    name: str
    units: Units
    is_known: bool = True
    """It was read; else it is named by its id, and its units are not known."""


def parse_units(row: Row) -> Units:
    """Return the units of each payload type that an event or program describes."""
    return {
        find_text(one, "payloadType"): Unit(find_text(one, "units"), find_text(one, "currency"))
        for one in get_rows(row, "payloadDescriptors")[:MOST_DESCRIPTORS]
        if one.get("objectType", "EVENT_PAYLOAD_DESCRIPTOR") == "EVENT_PAYLOAD_DESCRIPTOR"
    }


def parse_program(octets: bytes) -> Program:
    """Return a program.

    Raises:
        JsonError: it is none.
    """
    row = get_row(decode(octets))
    return Program(find_text(row, "programName"), parse_units(row))


class Programs:
    """Those that events name, read once an hour; in memory only."""

    def __init__(self) -> None:
        """Begin without any."""
        self._known: dict[str, tuple[Program, int]] = {}

    def is_missing(self, program_id: str, now_s: int) -> bool:
        """Tell whether to ask for a program."""
        found = self._known.get(program_id)
        return now_s >= found[1] if found else len(self._known) < MOST_PROGRAMS

    def get(self, program_id: str) -> Program:
        """Return a program; one that is not known is named by its id."""
        found = self._known.get(program_id)
        return found[0] if found and found[0].name else Program(program_id, {}, False)

    def take(self, program_id: str, program: Program, now_s: int) -> None:
        """Keep a program."""
        self._known[program_id] = program, now_s + RENEWED_S

    def miss(self, program_id: str, now_s: int) -> None:
        """Note that a program cannot be read: its events do not wait for it."""
        before = self._known.get(program_id)
        self._known[program_id] = before[0] if before else Program("", {}), now_s + AGAIN_S

    def retain(self, program_ids: set[str]) -> None:
        """Forget those that no event names any more."""
        self._known = {one: row for one, row in self._known.items() if one in program_ids}
