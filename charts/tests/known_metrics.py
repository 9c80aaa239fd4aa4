"""The metrics that operator, archive and twins really have, by the names that Prometheus gives them."""

import re
from pathlib import Path

import meter_archive.figures  # noqa: F401 - they register what they have
import meter_operator.http_server
import meter_operator.rollout_metrics  # noqa: F401
from prometheus_client import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
_TWIN = re.compile(r'\("(\w+)", "(?:gauge|counter)", ')
_NAME = re.compile(r"\b(?:metertwin|kubelet|controller_runtime|workqueue)_\w+")


def known_metrics() -> set[str]:
    """Return the names of all series; a histogram has several."""
    status = (ROOT / "twin/src/meter_twin/status.py").read_text()
    found = {f"metertwin_twin_{name}" for name in _TWIN.findall(status)}
    assert found, "the twin's metrics are written in another way"
    for metric in REGISTRY.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        found |= {metric.name + suffix for suffix in suffixes.get(metric.type, [""])}
    return found


def find_metrics(expression: str) -> set[str]:
    """Return the names of metrics in an expression."""
    return set(_NAME.findall(re.sub(r'"[^"]*"', "", expression)))
