"""What a utility of OpenADR 3.1 gave this meter, read from the folder of its files each time.

So new ones are used without a restart. Neighbours: `utility` (the folder),
`openadr3.authorization`.
"""

from pathlib import Path

from .openadr3.authorization import Credentials

CLIENT_ID, CLIENT_SECRET = "client_id", "client_secret"
MOST_OCTETS = 4_096
"""Of each (OpenAPI, clientCredentialRequest)."""


def read_credentials(folder: str) -> Credentials | None:
    """Return the credentials, None without both files: such a VTN wants none.

    Raises:
        ValueError: a file is empty, too long or no text; what is in it is not told.
    """
    found = [_read(Path(folder) / name) for name in (CLIENT_ID, CLIENT_SECRET)]
    if found[0] is None or found[1] is None:
        return None
    return Credentials(found[0], found[1])


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            octets = file.read(MOST_OCTETS + 3)
    except FileNotFoundError:
        return None
    try:
        text = octets.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text or len(text) > MOST_OCTETS:
        raise ValueError(f"{path.name} is empty, too long or no text")
    return text
