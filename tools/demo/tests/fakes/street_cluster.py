"""A kubectl that knows Secrets and the pods of meters, run as a program: state is `state.json`.

`apply` knows Secrets alone, `delete` pods, and `rollout restart` is written down. `exec` writes down the pod and says that its process ends; real rules of `kubectl exec` are for the
tests on a cluster.
"""

import base64
import fcntl
import json
import sys
from pathlib import Path
from typing import Any


def get(state: dict[str, Any], words: list[str]) -> str:
    """Answer `get` as the demo and the plugin ask for it."""
    secrets: dict[str, dict[str, str]] = state["secrets"]
    if words[0] == "secret":
        return json.dumps({"data": secrets[words[1]]})
    if words[0] == "secrets":
        if words[-1] == "name":
            return "".join(f"secret/{name}\n" for name in secrets)
        rows = [f"{name} {data.get('meter.crt.der', '')}\n" for name, data in secrets.items()]
        return "".join(rows)
    items = [
        {
            "metadata": {"name": name, "labels": {"metertwin.io/device": name[6:]}},
            "status": {
                "containerStatuses": [
                    {"containerID": f"c-{name}", "state": {"running": {"startedAt": started}}}
                ]
            },
        }
        for name, started in state["pods"].items()
    ]
    return json.dumps({"items": items})


def main() -> None:
    """Answer one call and keep what it changed."""
    place = Path(sys.argv[1])
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # meters are restarted beside each other
        answer(place)


def answer(place: Path) -> None:
    """Answer the call on the state of a file."""
    state = json.loads(place.read_text())
    words = [word for word in sys.argv[2:] if not word.startswith("--namespace=")]
    if words[0] == "get":
        print(get(state, words[1:]), end="")
    elif words[0] == "patch":
        change = json.loads(Path(words[words.index("--patch-file") + 1]).read_text())
        state["secrets"][words[2]].update(change["data"])
    elif words[0] == "apply":
        secret = json.load(sys.stdin)
        state["secrets"][secret["metadata"]["name"]] = secret["data"]
    elif words[0] == "delete":
        state["pods"].pop(words[2], None)
    elif words[:2] == ["rollout", "restart"]:
        state["restarted"].append(words[2])
    elif words[0] == "exec":
        state["restarted"].append(words[1])
        state["pods"][words[1]] = state["now"]
        print("ends")
    place.write_text(json.dumps(state))


def encoded(data: dict[str, bytes]) -> dict[str, str]:
    """Return the data of a Secret as the API has it."""
    return {name: base64.b64encode(value).decode() for name, value in data.items()}


if __name__ == "__main__":
    main()
