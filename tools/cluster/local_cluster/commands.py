"""Run another program and turn its failure into one readable line."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .settings import ClusterError


def run(
    command: Sequence[str | Path],
    doing: str,
    *,
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """Run `command` and return its standard output.

    Raises:
        ClusterError: it is missing or failed; the message tells what was being done.
    """
    try:
        finished = subprocess.run(
            [str(part) for part in command],
            input=text,
            capture_output=True,
            text=True,
            env=environment,
            cwd=folder,
            check=False,
        )
    except FileNotFoundError as error:
        raise ClusterError(f"while {doing}: {command[0]} is not installed") from error
    if finished.returncode:
        output = (finished.stderr.strip() or finished.stdout.strip()).splitlines()
        detail = " | ".join(output[-6:]) or f"exit code {finished.returncode}"
        raise ClusterError(f"while {doing}: {detail}")
    return finished.stdout
