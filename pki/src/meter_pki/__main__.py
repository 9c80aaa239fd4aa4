"""``python3 -m meter_pki init``: the chart's Job. Prints what was made, never a key."""

import argparse
import sys
import urllib.error
from datetime import UTC, datetime

from meter_wire.names import CA_SECRET, FLEET_KEY_SECRET, TRUST_CONFIG_MAP

from meter_pki.authority import CredentialError
from meter_pki.cluster_secrets import ClusterSecrets
from meter_pki.init import BROKER_SECRET, OPERATOR_SECRET, ensure_installation


def main() -> int:
    """Return 0 when the installation has all it needs."""
    parser = argparse.ArgumentParser(prog="meter_pki", description=__doc__)
    parser.add_argument("action", choices=["init"])
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--ca-secret", default=CA_SECRET)
    parser.add_argument("--fleet-key-secret", default=FLEET_KEY_SECRET)
    parser.add_argument("--operator-secret", default=OPERATOR_SECRET)
    parser.add_argument("--broker-secret", default=BROKER_SECRET)
    parser.add_argument("--trust-config-map", default=TRUST_CONFIG_MAP)
    parser.add_argument("--broker-host", action="append", default=[], help="one more name")
    found = parser.parse_args()
    try:
        lines = ensure_installation(
            ClusterSecrets(found.namespace),
            found.namespace,
            datetime.now(UTC),
            ca_secret=found.ca_secret,
            fleet_key_secret=found.fleet_key_secret,
            operator_secret=found.operator_secret,
            broker_secret=found.broker_secret,
            trust=found.trust_config_map,
            broker_hosts=tuple(found.broker_host),
        )
    except (CredentialError, urllib.error.URLError) as error:
        sys.stderr.write(f"error: while preparing {found.namespace}: {error}\n")
        return 1
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
