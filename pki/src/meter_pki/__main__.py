"""``python3 -m meter_pki``: makes what an installation lacks, or a reader's certificate.

``init`` is the chart's Job; it prints what was made, never a key. ``reader`` works on files: the
CA's own, and a new folder with the reader's certificate and key.
"""

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from meter_wire.names import CA_SECRET, FLEET_KEY_SECRET, TRUST_CONFIG_MAP

from meter_pki.authority import Authority, CredentialError
from meter_pki.cluster_secrets import ClusterSecrets
from meter_pki.identities import (
    ARCHIVE_NAME,
    DATABASE_NAME,
    Identity,
    archive_client_identity,
    reader_identity,
    service_identity,
)
from meter_pki.init import BROKER_SECRET, OPERATOR_SECRET, ensure_installation


def main() -> int:
    """Return 0 when what was asked for is there."""
    found = _parser().parse_args()
    try:
        lines = _init(found) if found.action == "init" else _reader(found)
    except (CredentialError, ValueError, OSError) as error:
        what = found.namespace if found.action == "init" else f"reader {found.name}"
        sys.stderr.write(f"error: while preparing {what}: {error}\n")
        return 1
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="meter_pki", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    init = actions.add_parser("init", help="what an installation lacks")
    init.add_argument("--namespace", required=True)
    init.add_argument("--ca-secret", default=CA_SECRET)
    init.add_argument("--fleet-key-secret", default=FLEET_KEY_SECRET)
    init.add_argument("--operator-secret", default=OPERATOR_SECRET)
    init.add_argument("--broker-secret", default=BROKER_SECRET)
    init.add_argument("--trust-config-map", default=TRUST_CONFIG_MAP)
    init.add_argument("--broker-host", action="append", default=[], help="one more name")
    init.add_argument("--archive-secret", default="", help="of the archive's two ports")
    init.add_argument("--archive-host", action="append", default=[], help="one more name")
    init.add_argument(
        "--archive-client-secret", default="", help="of the archive, for its database"
    )
    init.add_argument("--postgres-secret", default="", help="of the archive's database")
    reader = actions.add_parser(
        "reader", help="a certificate to read from twins, or for a home's energy management"
    )
    reader.add_argument("name", help="as in spec.dataPolicy.recipients or spec.ems")
    reader.add_argument("--ca-certificate", type=Path, required=True, help="tls.crt of the CA")
    reader.add_argument("--ca-key", type=Path, required=True, help="tls.key of the CA")
    reader.add_argument("--out", type=Path, required=True, help="a folder, made if it is missing")
    return parser


def _init(found: argparse.Namespace) -> list[str]:
    return ensure_installation(
        ClusterSecrets(found.namespace),
        found.namespace,
        datetime.now(UTC),
        ca_secret=found.ca_secret,
        fleet_key_secret=found.fleet_key_secret,
        operator_secret=found.operator_secret,
        broker_secret=found.broker_secret,
        trust=found.trust_config_map,
        broker_hosts=tuple(found.broker_host),
        also=_of_the_archive(found),
    )


def _of_the_archive(found: argparse.Namespace) -> dict[str, Identity]:
    """Return whose certificate is in which Secret, for those that were named."""
    every = {
        found.archive_secret: service_identity(
            found.namespace, ARCHIVE_NAME, tuple(found.archive_host)
        ),
        found.archive_client_secret: archive_client_identity(),
        found.postgres_secret: service_identity(found.namespace, DATABASE_NAME),
    }
    return {name: identity for name, identity in every.items() if name}


def _reader(found: argparse.Namespace) -> list[str]:
    """Write tls.crt, tls.key (0600) and ca.crt; a file that exists is never overwritten."""
    authority = Authority.load(found.ca_certificate.read_bytes(), found.ca_key.read_bytes())
    bundle = authority.issue(reader_identity(found.name), datetime.now(UTC))
    found.out.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {
        "tls.crt": bundle.certificate,
        "tls.key": bundle.key,
        "ca.crt": authority.certificate_pem,
    }
    for name, data in files.items():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(found.out / name, flags, 0o600), "wb") as file:
            file.write(data)
    return [f"{found.out}: {', '.join(files)}"]


if __name__ == "__main__":
    sys.exit(main())
