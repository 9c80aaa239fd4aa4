"""What the archive holds of a device, out of PostgreSQL, in the form that the oracle judges."""

import hashlib
import re

from demo import kubectl
from oracle import Identity, Ledger

POD = "metertwin-postgres-0"
_SPAN = re.compile(r"[\[(](\d+),(\d+)\)")
_QUERY = """
SET search_path = metertwin;
WITH of AS (SELECT i.id, encode(i.identity, 'hex') AS name, i.held
  FROM incarnation i JOIN device d ON d.id = i.device WHERE d.name = '{device}')
SELECT 'held', name, 0, held::text, '' FROM of
UNION ALL SELECT 'hole', name, reason, numbers::text, '' FROM hole JOIN of ON of.id = incarnation
UNION ALL SELECT 'conflict', name, seq, '', '' FROM conflict JOIN of ON of.id = incarnation
UNION ALL SELECT 'entry', name, seq, kind::text, encode(raw, 'hex')
  FROM entry JOIN of ON of.id = incarnation
"""


def ask_database(text):
    """Ask as the superuser, who exists inside the pod alone; return the lines of the answer."""
    done = kubectl(
        "exec", "-i", POD, "-c", "postgres", "--",
        "psql", "-qAt", "-F", " ", "-v", "ON_ERROR_STOP=1", "-d", "metertwin", text=text,
    )  # fmt: skip
    return done.stdout.splitlines()


def read_archive(device, incarnations):
    """Return the ledger of a device; of its incarnations those that a log tells of.

    A meter of another test may have had the device's name, and the archive forgets nothing.
    """
    found = Ledger({}, {}, {}, 0, {})
    held = {}
    for line in ask_database(_QUERY.format(device=device)):
        what, name, number, rest, raw = line.split(" ")
        if name not in incarnations:
            continue
        rows, holes = found.raw.setdefault(name, []), found.holes.setdefault(name, [])
        if what == "entry":
            content = bytes.fromhex(raw)
            rows.append((int(number), content))
            digest = hashlib.sha256(content).digest()[:8].hex()
            found.entries[Identity(name, int(number))] = int(rest), digest
        elif what == "hole":
            holes += [(first, last, int(number)) for first, last in _spans(rest)]
        elif what == "conflict":
            found.conflicts += 1
        else:
            held[name] = _spans(rest)
    for name, spans in held.items():
        found.raw[name].sort()
        assert [first for first, _ in spans] == [1], f"{device}, {name}: held are {spans}"
        found.marks[name] = spans[0][1], None
    return found


def _spans(text):
    """Return [(first, last)] of a multirange, both included."""
    return [(int(first), int(end) - 1) for first, end in _SPAN.findall(text)]
