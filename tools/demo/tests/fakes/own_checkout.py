"""A checkout of its own for each test: the demo's tools, and programs that only write down."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

# Each call is one line of `calls`; a call that begins with the text of `refused` fails; what a call
# answers is in the folder `answers`, in a file of its words.
PROGRAM = """\
#!/bin/sh
call="$(basename "$0") $*"
echo "$call" >>{here}/calls
answer="{here}/answers/$(echo "$call" | tr ' /' '__')"
[ -f "$answer" ] && cat "$answer"
refused=$(cat {here}/refused)
case "$call" in "$refused"*) echo "the cluster says no" >&2; exit 1 ;; esac
exit 0
"""


# Packages come from nowhere, so that no place is asked whether it answers; a test names its own.
NOWHERE = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1", "GOPROXY": "off"}
APT = 'Acquire::http::Proxy-Auto-Detect "/bin/false";\n'


class Checkout(NamedTuple):
    """A copy of the Makefile and of the tools, with an empty cache, and fake programs."""

    root: Path

    def program(self, *names: str) -> None:
        """Put fake programs into the PATH."""
        for name in names:
            path = self.root / "fakes" / name
            path.write_text(PROGRAM.format(here=self.root))
            path.chmod(0o755)

    def answer(self, call: str, text: str) -> None:
        """Set what a fake program prints when it is called so."""
        (self.root / "answers" / call.replace(" ", "_").replace("/", "_")).write_text(text)

    def refuse(self, call: str) -> None:
        """Let calls that begin so fail."""
        (self.root / "refused").write_text(call)

    def calls(self) -> list[str]:
        """Return what was called so far."""
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the checkout, as somebody who named no cluster."""
        settings = {
            "PATH": f"{self.root}/fakes:{os.environ['PATH']}",
            "HOME": str(self.root),
            "METERTWIN_CACHE": f"{self.root}/cache",
            "METERTWIN_STATE": f"{self.root}/state",
            "METERTWIN_CLUSTER": "t",
            "METERTWIN_API_PORT": "1",
            **NOWHERE,
            "APT_CONFIG": f"{self.root}/apt.conf",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.root,
            env=settings | environment,
        )

    def ask(self, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python code beside the demo's modules."""
        path = str(self.root / "tools/demo")
        return self.run(sys.executable, "-c", code, **{"PYTHONPATH": path, **environment})
