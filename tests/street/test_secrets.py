"""No key and no register value in a log, a status, an event or a metric."""

import base64
import json

import pytest
from demo import (
    BOARDS,
    DEVICES,
    ask_meter,
    get,
    kubectl,
    meter,
    names,
    read_live,
    secret,
    twin_of,
    until,
)
from leaks import find_keys, find_unknown_series, find_values, parse_registers

pytestmark = [pytest.mark.demo, pytest.mark.timeout(900)]


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
    for device in BOARDS:
        broker = json.loads(secret(f"meter-{device}")["meter.json"])["broker"]
        raw[f"meter-{device} password"] = broker["password"].encode()
    for name, content in raw.items():
        assert len(content) == 32, name
        forms = (content.hex(), base64.b64encode(content).decode(), repr(content)[2:-1])
        found[name] = [*forms, content.hex().upper()]
    private = [twin_of(device)["metadata"]["name"] for device in DEVICES]
    for name in [*private, "metertwin-ca", "metertwin-operator-tls", "metertwin-mosquitto-tls"]:
        found[f"{name} tls.key"] = secret(name)["tls.key"].decode().split("\n")[1:3]
    return found


def list_registers():
    """Return the register values of the last 20 minutes and of now, of any size."""
    rows = []
    for device in DEVICES:
        rows += ask_meter("readings", device, "--since", "20m")
        rows.append(read_live(device))
    found = parse_registers(rows)
    assert len(found) > 10 * len(DEVICES)
    return found


def ask_pod(pod, *command):
    """Return what kubectl says of a pod, or nothing if it went meanwhile.

    One that starts or ends now, as a twin that another test replaced, cannot be asked: until it
    can, or is gone, it is asked again.
    """

    def answer():
        done = kubectl(*command, check=False)
        assert done.returncode == 0 or pod not in names("pod"), done.stderr
        return [done.stdout if done.returncode == 0 else None]

    return until(answer, f"{pod} is asked")[0]


def list_metrics():
    found = {}
    for role in ("twin", "operator"):
        for pod in names("pod", "-l", f"metertwin.io/role={role}"):
            path = f"/api/v1/namespaces/metertwin-demo/pods/{pod}:8080/proxy/metrics"
            found[f"metrics of {pod}"] = ask_pod(pod, "get", "--raw", path)
    return {what: text for what, text in found.items() if text is not None}


def list_last_words():
    """Return what containers that were started again said before."""
    found = {}
    for pod in get("pods"):
        name = pod["metadata"]["name"]
        for row in pod["status"].get("containerStatuses") or []:
            if row["restartCount"] and "pki" not in name:
                last = ("logs", name, "--previous", "-c", row["name"])
                done = kubectl(*last, check=False)  # the node keeps it for a while only
                if done.returncode == 0:
                    found[f"last log of {name}"] = done.stdout
    return found


def list_public_texts():
    """Return {what it is: text} of everything that is not meant for secrets."""
    found = list_metrics()
    serving = [twin_of(device)["metadata"]["name"] for device in DEVICES]
    assert {f"metrics of {pod}" for pod in serving} <= found.keys()
    for pod in names("pod"):
        if "pki" not in pod:
            text = ask_pod(pod, "logs", pod, "--all-containers")
            if text is not None:
                found[f"log of {pod}"] = text
    found |= list_last_words()
    for row in get("smartmeters") + get("twinprofiles"):
        name = f"{row['kind']} {row['metadata']['name']}"
        found[f"status of {name}"] = json.dumps(row.get("status"))
    for row in get("configmaps"):
        found[f"pod ConfigMap {row['metadata']['name']}"] = json.dumps(row.get("data"))
    rows = [f"{row['reason']} {row.get('message')}" for row in get("events")]
    found["events"] = "\n".join(rows)
    for pod in get("pods"):
        found[f"pod {pod['metadata']['name']}"] = json.dumps(pod["spec"])
    return found


def find_leaks(texts, keys, registers):
    """Return sentences about every key and every value in a text."""
    found = []
    for what, text in texts.items():
        leaks = list(find_keys(text, keys))
        if what.startswith("metrics "):
            leaks += [f"the unjudged series {name}" for name in find_unknown_series(text)]
        if not what.startswith("pod "):
            leaks += sorted(find_values(text, registers))
        found += [f"{leak} in {what}" for leak in leaks]
    return found


def test_no_key_and_no_register_value_in_logs_status_events_and_metrics():
    texts, keys, registers = list_public_texts(), list_keys(), list_registers()
    assert {f"log of {pod}" for pod in ("meter-house-1",)} <= texts.keys()
    assert find_leaks(texts, keys, registers) == []


def test_the_search_finds_what_is_there():
    """The check above can fail: the plugin's output and the Secrets are full of both."""
    keys, registers = list_keys(), list_registers()
    rows = ask_meter("readings", "house-1", "--since", "20m")
    leaks = find_leaks({"a reading": json.dumps(rows)}, keys, registers)
    codes = {register.code for register in parse_registers(rows)}
    assert {leak.split(" of ")[-1].removesuffix(" in a reading") for leak in leaks} >= codes
    table = meter("readings", "house-1", "--since", "20m", "-o", "json").stdout
    assert find_leaks({"a table": table}, keys, registers)
    for name, forms in keys.items():
        for form in forms:
            assert find_leaks({"a text": f"key={form}!"}, keys, registers) == [f"{name} in a text"]
