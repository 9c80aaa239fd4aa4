"""No key and no register value in a log, a status, an event or a metric."""

import base64
import json
import re

import pytest
from demo import DEVICES, ask_meter, get, kubectl, meter, names, secret, twin_of

pytestmark = pytest.mark.demo
MARKERS = re.compile(r"PRIVATE KEY")
SMALLEST = 100_000
"""Numbers with fewer digits are also ports, process ids and times."""


def list_keys():
    """Return every secret of the street in each form in which it could be printed."""
    found = {}
    raw = {"fleet key": secret("metertwin-fleet-key")["master"]}
    for device in DEVICES:
        name = twin_of(device)["metadata"]["name"]
        identity = json.loads(secret(name)["keys.json"])
        for label in ("up", "down", "ctl"):
            raw[f"{name} {label}"] = bytes.fromhex(identity[label])
        configuration = json.loads(secret(f"meter-{device}")["meter.json"])
        raw[f"meter-{device}"] = bytes.fromhex(configuration["key"])
    for name, content in raw.items():
        assert len(content) == 32, name
        forms = (content.hex(), base64.b64encode(content).decode(), repr(content)[2:-1])
        found[name] = [*forms, content.hex().upper()]
    private = [twin_of(device)["metadata"]["name"] for device in DEVICES]
    for name in [*private, "metertwin-ca", "metertwin-operator-tls", "metertwin-mosquitto-tls"]:
        found[f"{name} tls.key"] = secret(name)["tls.key"].decode().split("\n")[1:3]
    return found


def list_values():
    """Return the distinctive register values: in the meter's integers and as people read them."""
    found = set()
    for device in DEVICES:
        rows = ask_meter("readings", device, "--since", "20m")
        rows.append(ask_meter("read", device, "--live"))
        for row in rows:
            for code, register in row["registers"].items():
                if code.startswith("0-0:") or not isinstance(register["value"], int | float):
                    continue
                if register["unit"] in {"V", "A", "Hz"}:
                    thousandths = round(register["value"] * 1000)
                    if thousandths >= SMALLEST:
                        found |= {str(thousandths), f"{thousandths / 1000:.3f}"}
                elif register["value"] >= SMALLEST:
                    found.add(str(register["value"]))
    assert len(found) > 2 * len(DEVICES)
    return found


def list_metrics():
    found = {}
    for role in ("twin", "operator"):
        for pod in names("pod", "-l", f"metertwin.io/role={role}"):
            path = f"/api/v1/namespaces/metertwin-demo/pods/{pod}:8080/proxy/metrics"
            found[f"metrics of {pod}"] = kubectl("get", "--raw", path).stdout
    return found


def list_public_texts():
    """Return {what it is: text} of everything that is not meant for secrets."""
    found = list_metrics()
    assert found
    for pod in names("pod"):
        if "pki" not in pod:
            found[f"log of {pod}"] = kubectl("logs", pod, "--all-containers").stdout
    for row in get("smartmeters"):
        name = row["metadata"]["name"]
        found[f"status of {name}"] = json.dumps(row.get("status"))
    rows = [f"{row['reason']} {row.get('message')}" for row in get("events")]
    found["events"] = "\n".join(rows)
    for pod in get("pods"):
        found[f"pod {pod['metadata']['name']}"] = json.dumps(pod["spec"])
    return found


def find_leaks(texts, keys, values):
    """Return sentences about every key and every value in a text."""
    pattern = re.compile(
        rf"(?<![\w.-])(?:{'|'.join(map(re.escape, sorted(values)))})(?![\w-]|\.\d)"
    )
    found = []
    for what, text in texts.items():
        found += [f"{name} in {what}" for name, forms in keys.items() if any(f in text for f in forms)]  # fmt: skip
        if MARKERS.search(text):
            found.append(f"a private key in {what}")
        if not what.startswith("pod "):
            found += [f"the value {number} in {what}" for number in set(pattern.findall(text))]
    return found


def test_no_key_and_no_register_value_in_logs_status_events_and_metrics():
    texts, keys, values = list_public_texts(), list_keys(), list_values()
    assert {f"log of {pod}" for pod in ("meter-house-1",)} <= texts.keys()
    assert find_leaks(texts, keys, values) == []


def test_the_search_finds_what_is_there():
    """The check above can fail: the plugin's output and the Secrets are full of both."""
    keys, values = list_keys(), list_values()
    reading = meter("readings", "house-1", "--since", "20m", "-o", "json").stdout
    leaks = find_leaks({"a reading": reading}, keys, values)
    assert any(leak.startswith("the value") for leak in leaks)
    for name, forms in keys.items():
        for form in forms:
            assert find_leaks({"a text": f"key={form}!"}, keys, values) == [f"{name} in a text"]
