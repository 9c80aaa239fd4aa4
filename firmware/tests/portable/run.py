# ruff: noqa: RUF005 - MicroPython has no others
"""Runs test modules on MicroPython: `run.py SOURCE_FOLDER[:…] TEST_FOLDER MODULE…`."""

import sys


def main(arguments: list[str]) -> int:
    """Run every test function of the modules; return the number of failures."""
    sys.path[:0] = arguments[0].split(":") + [arguments[1]]
    failures = passed = 0
    for name in arguments[2:]:
        module = __import__(name)
        for test in sorted(dir(module)):
            if test.startswith("test_"):
                try:
                    getattr(module, test)()
                    passed += 1
                except Exception as error:  # noqa: BLE001 - reported below
                    failures += 1
                    print("FAILED", name, test)
                    sys.print_exception(error)  # type: ignore[attr-defined]
    print("passed", passed, "failed", failures)
    return failures


sys.exit(1 if main(sys.argv[1:]) else 0)
