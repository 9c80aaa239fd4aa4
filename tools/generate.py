"""Write every generated file, or check that none has drifted from its source.

One table: each row is a generator that takes ``--check``. Neighbour: ``make generate`` and
``make check`` call this and nothing else.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

GENERATORS: tuple[tuple[str, str], ...] = (
    ("registers and events of the meter", "tools/reference/meter_tables.py"),
    ("reference of the link", "wire/tools/link_reference.py"),
    ("golden vectors of the link", "wire/tools/link_vectors.py"),
    ("catalogue of applications", "tools/catalogue.py"),
    ("reference of the resources", "tools/reference/crds.py"),
    ("chart", "tools/chart/generate.py"),
    ("dashboards", "tools/chart/dashboards.py"),
    ("values and roles of the chart", "tools/reference/chart_tables.py"),
    ("flows of a handover", "tools/reference/handover_flows.py"),
    ("HTTP API of the archive", "tools/reference/archive_api.py"),
    ("figures of README and handover", "tools/reference/figures.py"),
)


def run(name: str, script: str, *, check: bool) -> bool:
    """Run one generator; True when it succeeded."""
    arguments = [sys.executable, str(ROOT / script), *(["--check"] if check else [])]
    done = subprocess.run(arguments, cwd=ROOT, check=False)
    print(f"{'ok  ' if done.returncode == 0 else 'FAIL'} {name} ({script})", flush=True)
    return done.returncode == 0


def main() -> int:
    """Return 0 when all generators succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail on drift, write nothing")
    check = parser.parse_args().check
    results = [run(name, script, check=check) for name, script in GENERATORS]
    if not all(results) and check:
        print("a generated file has drifted: run `make generate` and commit", file=sys.stderr)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
