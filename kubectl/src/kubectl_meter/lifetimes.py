"""How long the certificate of a meter lasts, and how that is said. Pure.

A meter asks for the next one when a third is left; until then this one is what it connects with
(docs/adr/0016-a-meters-certificate-lasts-as-long-as-its-ca.md). Neighbour: `provisioning`.
"""

from datetime import UTC, datetime, timedelta

from meter_pki.authority import METER_LIFETIME, Authority, end_of
from meter_pki.renewal import renew_from

from kubectl_meter.errors import MeterError

MAX_DAYS = 5475
"""15 years, as long as a meter stands."""
_ROTATE = "rotate the CA first (docs/how-to/rotate-the-ca.md)"


def choose_lifetime(authority: Authority, days: int | None, now: datetime) -> timedelta:
    """Return how long a certificate lasts that is issued now: never longer than the CA.

    Args:
        authority: which signs.
        days: as wished; None for ten years, or for what the CA has left if that is less.
        now: with its time zone.

    Raises:
        MeterError: the CA has ended, or ends before the wish.
    """
    end = authority.certificate.not_valid_after_utc
    left = end - now
    if left <= timedelta(0):
        raise MeterError(f"the CA ended at {_text(end)}", field="--ca-secret", remedy=_ROTATE)
    if days is None:
        return min(METER_LIFETIME, left)
    if timedelta(days=days) > left:
        most = f"--days {left.days} at most, or " if left.days else ""
        raise MeterError(
            f"a certificate of {days} days would outlive its CA, which ends at {_text(end)}",
            field="--days",
            remedy=f"{most}{_ROTATE}",
        )
    return timedelta(days=days)


def describe_end(certificate: bytes, authority: Authority) -> str:
    """Return for the person who provisions until when a certificate (DER) is valid."""
    end = end_of(certificate)
    cut = ", when the CA ends" if end == authority.certificate.not_valid_after_utc else ""
    due = datetime.fromtimestamp(renew_from(certificate), UTC)
    return f"valid until {_text(end)}{cut}; renewed from {_text(due)} on"


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
