"""Write crds/catalogue.json: what the stock twin offers, for the operator's checks.

The operator may not import the twin; this file is how it knows names, option schemas and state
versions. Neighbour: ``generate.py``. Source: ``meter_twin.registry``.
"""

import argparse
import json
import sys
from pathlib import Path

from meter_twin.registry import APPLICATIONS, ENGINES, find_application, find_engine

TARGET = Path(__file__).resolve().parents[1] / "crds" / "catalogue.json"


def build_catalogue() -> str:
    """Return the text of the file."""
    applications = [
        {
            "name": kind.name,
            "summary": kind.summary,
            "options": kind.option_schema,
            "stateVersions": list(kind.state_versions),
            "queries": list(kind.queries),
        }
        for kind in filter(None, map(find_application, sorted(APPLICATIONS)))
    ]
    engines = [
        {"name": kind.name, "port": kind.port, "summary": kind.summary}
        for kind in filter(None, map(find_engine, sorted(ENGINES)))
    ]
    return json.dumps({"applications": applications, "engines": engines}, indent=2) + "\n"


def main() -> int:
    """Return 1 with --check if the file has drifted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail on drift, write nothing")
    text = build_catalogue()
    if parser.parse_args().check:
        return 0 if TARGET.exists() and TARGET.read_text() == text else 1
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
