"""Write the meter's end of the link as few modules, which saves a small board 2 KB of heap.

`bundle_link.py FOLDER` writes `meter_link.py`, with everything it imports inside, and the rest of
the link's portable modules, which import it instead. The firmware's own imports go through
`redirect` likewise.
"""

import re
import sys
from pathlib import Path

PORTABLE = Path(__file__).resolve().parents[1] / "src/meter_wire/portable"
INSIDE = (
    "constant",
    "keys",
    "tlv",
    "frame",
    "meter_commands",
    "owner",
    "meter_session",
    "meter_epochs",
    "meter_link",
)
BESIDE = (
    "__init__",
    "entry",
    "entry_signature",
    "clock",
    "description",
    "segments",
    "frame_cipher",
)
_RELATIVE = re.compile(r"^from \.\w+ import (\((?:.|\n)*?\)|.*)\n", re.MULTILINE)
_TYPING = re.compile(r"^TYPE_CHECKING = False\nif TYPE_CHECKING:\n(    .*\n|\n)+", re.MULTILINE)
_CONSTANT = re.compile(r"(_?[A-Z][A-Z0-9_]*) = const\((.*)\)")
_DEFINITION = re.compile(r"(?:def|class) (\w+)(.*)")
_IMPORT = re.compile(
    rf"^(\s*from (?:meter_wire\.portable)?\.)({'|'.join(INSIDE)}) import", re.MULTILINE
)


def redirect(source: str) -> str:
    """Return a module's source that imports the bundle instead of what is inside it."""
    return _IMPORT.sub(r"\1meter_link import", source)


def build_bundle() -> str:
    """Return the source of the one module.

    Raises:
        ValueError: two modules give one name to different things.
    """
    lines = ["from hashlib import sha256"]
    known: dict[str, str] = {}
    for name in INSIDE:
        source = _TYPING.sub("", _RELATIVE.sub("", (PORTABLE / f"{name}.py").read_text()))
        for line in source.splitlines():
            found = _CONSTANT.fullmatch(line) or _DEFINITION.match(line)
            content = f"{name}: {line}" if found and found.re is _DEFINITION else line
            if found and known.setdefault(found[1], content) != content:
                raise ValueError(f"{name}: {line} is {known[found[1]]} elsewhere")
            if line == "from hashlib import sha256" or (found and line in lines):
                continue
            lines.append(line)
    return "\n".join(lines) + "\n"


def write_bundle(folder: Path) -> list[Path]:
    """Write the modules into a folder; return their paths."""
    sources = {name: redirect((PORTABLE / f"{name}.py").read_text()) for name in BESIDE}
    sources["meter_link"] = build_bundle()
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    return [folder / f"{name}.py" for name in sources]


if __name__ == "__main__":
    print(*write_bundle(Path(sys.argv[1])), sep="\n")
