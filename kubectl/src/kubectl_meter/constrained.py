"""What a board on the broker's port without TLS gets: no certificate, but a password.

The board has the password, the broker only its hash; nobody else ever sees it. The port's
risk is told in docs/how-to/constrained-listener.md. Neighbour: `provisioning`, for other meters.
"""

import base64
import hashlib
import json
import secrets
from typing import Any

PORT = 1883
"""The chart's mosquitto.constrainedListener.port."""
PASSWORDS_FILE = "passwords"
"""A line for the file of the chart's mosquitto.constrainedListener.existingSecret."""
_PASSWORD_BYTES = 16
_SALT_BYTES = 12  # the only length that Mosquitto 2.0 takes
_ROUNDS = 101  # mosquitto_passwd's; a password of 128 random bits needs no more


def build_bundle(document: dict[str, Any]) -> dict[str, bytes]:
    """Return the files of a board: its meter.json, and the line for the broker's passwords.

    `document` is what `provisioning.meter_json` returns.
    """
    device = document["device"]
    password = secrets.token_hex(_PASSWORD_BYTES)
    broker = {**document["broker"], "user": device, "password": password}
    board = {key: value for key, value in document.items() if key != "tls"} | {"broker": broker}
    line = f"{device}:{_hash(password, secrets.token_bytes(_SALT_BYTES))}\n"
    return {
        "meter.json": json.dumps(board, indent=1).encode() + b"\n",
        PASSWORDS_FILE: line.encode(),
    }


def _hash(password: str, salt: bytes) -> str:
    """Return what Mosquitto keeps of a password: PBKDF2 with SHA-512, `$7$` (mosquitto_passwd)."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    coded = [base64.b64encode(part).decode() for part in (salt, digest)]
    return f"$7${_ROUNDS}${'$'.join(coded)}"
