"""The page of the metrics has each of the archive's, and no other."""

import re
from pathlib import Path

from meter_archive import figures
from prometheus_client import Counter, Gauge, Histogram

PAGE = Path(__file__).parents[2] / "docs/reference/metrics.md"


def test_the_page_of_the_metrics_has_each_of_them():
    families = [
        family
        for one in vars(figures).values()
        if isinstance(one, Counter | Gauge | Histogram)
        for family in one.collect()
    ]
    names = {f"{one.name}_total" if one.type == "counter" else one.name for one in families}
    rows = re.findall(r"^\| `(metertwin_archive_\w+)`", PAGE.read_text(), re.MULTILINE)
    assert len(rows) == len(set(rows)) == 16
    assert set(rows) == names
