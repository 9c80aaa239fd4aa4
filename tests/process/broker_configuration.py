"""Mosquitto's configuration for the tests of real processes: mutual TLS, and a port without TLS.

The chart's is charts/metertwin/templates/mosquitto/_config.tpl; the block of the plain port says
what its constrained listener says. Neighbour: `harness`, which writes it and starts the broker.
"""

import os
import pathlib
import subprocess

METERS = """\
pattern write mt/%u/+/up
pattern read mt/%u/+/down
pattern read mt/%u/owner
pattern write mt/%u/hello
"""
OTHERS = """\
user Operator.metertwin
topic readwrite mt/#
pattern read mt/%u/up
pattern write mt/%u/down
pattern read mt/%u/ctl
pattern write mt/%u/state
"""
PASSWORDS = "passwords"


def build_configuration(
    folder: pathlib.Path, port: int, plain_port: int, address: str = "127.0.0.1"
) -> list[str]:
    """Write the access rules; return the configuration's lines.

    Args:
        folder: where rules, certificates and the file of passwords are.
        port: of the listener with mutual TLS.
        plain_port: of the listener for boards without TLS; 0 for none.
        address: that the listener with mutual TLS is bound to.
    """
    _write_rules(folder / "acl", OTHERS + METERS)
    lines = [
        "per_listener_settings true",
        f"user {'root' if os.getuid() == 0 else 'mosquitto'}",
        f"listener {port} {address}",
        f"cafile {folder}/ca.crt",
        f"certfile {folder}/server.crt",
        f"keyfile {folder}/server.key",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "allow_anonymous false",
        f"acl_file {folder}/acl",
        "set_tcp_nodelay true",
        "message_size_limit 1536",
    ]
    if plain_port:
        _write_rules(folder / "acl-constrained", METERS)
        lines += [
            f"listener {plain_port} 127.0.0.1",
            f"password_file {folder}/{PASSWORDS}",
            "use_username_as_clientid true",
            "allow_anonymous false",
            f"acl_file {folder}/acl-constrained",
        ]
    return lines


def _write_rules(file: pathlib.Path, rules: str) -> None:
    file.write_text(rules)
    file.chmod(0o600)


def add_password(folder: pathlib.Path, user: str, password: str) -> None:
    """Add a user of the plain port; it counts at the broker's next start."""
    file = folder / PASSWORDS
    file.touch(mode=0o600)
    command = ["mosquitto_passwd", "-b", str(file), user, password]
    subprocess.run(command, check=True, capture_output=True)
