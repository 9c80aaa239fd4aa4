"""Mosquitto's configuration for the tests of real processes: mutual TLS, and a port without TLS.

The access rules are the chart's own; the block of the plain port says what its constrained listener
says. Neighbour: `harness`, which writes it and starts the broker.
"""

import os
import pathlib
import re
import subprocess

CHART = pathlib.Path(__file__).parents[2] / "charts/metertwin/templates/mosquitto/_config.tpl"
PASSWORDS = "passwords"


def read_rules(name: str) -> str:
    """Return one of the chart's blocks of access rules, with the blocks that it includes."""
    text = CHART.read_text()
    block = re.search(
        rf'{{{{- define "{re.escape(name)}" -}}}}\n(.*?)\n{{{{- end }}}}', text, re.DOTALL
    )
    assert block, f"{CHART} has no block {name}"
    rules = re.sub(r'{{ include "(\S+)" \. }}', lambda found: read_rules(found[1]), block[1])
    assert "{{" not in rules, "helm knows more than this"
    return rules


def build_configuration(
    folder: pathlib.Path,
    port: int,
    plain_port: int,
    address: str = "127.0.0.1",
    renewal_port: int = 0,
) -> list[str]:
    """Write the access rules; return the configuration's lines.

    Args:
        folder: where rules, certificates and the file of passwords are.
        port: of the listener with mutual TLS.
        plain_port: of the listener for boards without TLS; 0 for none.
        address: that the listener with mutual TLS is bound to.
        renewal_port: of a listener that wants no certificate, in the chart a broker of its own; 0
            for none.
    """
    _write_rules(folder / "acl", read_rules("metertwin.mosquitto.acl"))
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
        _write_rules(folder / "acl-constrained", read_rules("metertwin.mosquitto.aclConstrained"))
        lines += [
            f"listener {plain_port} 127.0.0.1",
            f"password_file {folder}/{PASSWORDS}",
            "use_username_as_clientid true",
            "allow_anonymous false",
            f"acl_file {folder}/acl-constrained",
        ]
    if renewal_port:
        _write_rules(folder / "acl-renewal", read_rules("metertwin.mosquitto.aclRenewal"))
        lines += [
            f"listener {renewal_port} {address}",
            f"certfile {folder}/server.crt",
            f"keyfile {folder}/server.key",
            "allow_anonymous true",
            f"acl_file {folder}/acl-renewal",
        ]
    return lines


def _write_rules(file: pathlib.Path, rules: str) -> None:
    file.write_text(f"{rules}\n")
    file.chmod(0o600)


def add_password(folder: pathlib.Path, user: str, password: str) -> None:
    """Add a user of the plain port; it counts at the broker's next start."""
    file = folder / PASSWORDS
    file.touch(mode=0o600)
    command = ["mosquitto_passwd", "-b", str(file), user, password]
    subprocess.run(command, check=True, capture_output=True)
