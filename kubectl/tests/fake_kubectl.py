"""A kubectl for tests: objects are files of FAKE_CLUSTER, a port-forward is an HTTP server.

`<kind>.<name>.json` are objects, `twin.json` (or `twin.<pod>.json`) maps request paths to answers, `calls` collects the
command lines and `created.json` what was written; a file `create is forbidden` (or apply) has it
refused, and with `kubectl says` every call fails with that text. `patch` keeps its body in
`patched.json`, its dry run is stamped with the time in `cluster time`; from then on `then.<kind>.<name>.json`, a list, says what each further look sees.
Where an object or an answer is a list, each look sees the next one, and then the last for ever.
"""

import http.server
import json
import os
import signal
import sys
from pathlib import Path

FOLDER = Path(os.environ["FAKE_CLUSTER"])


class Twin(http.server.BaseHTTPRequestHandler):
    """Answers from twin.json: {path with query: [status, body]}."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        (FOLDER / "posted.json").write_bytes(body)
        self.path = f"POST {self.path}"
        self.do_GET()

    def do_GET(self) -> None:
        with (FOLDER / "requests").open("a") as file:
            file.write(self.path + "\n")
        unknown = [404, {"error": {"field": "path", "message": "is unknown", "remedy": "none"}}]
        pod = next(word for word in sys.argv if word.startswith("pod/"))
        own = FOLDER / f"twin.{pod.removeprefix('pod/')}.json"
        answers = json.loads((own if own.exists() else FOLDER / "twin.json").read_text())
        answer = answers.get(self.path, unknown)
        if isinstance(answer[0], list):
            answers[self.path] = answer[1:] or answer
            answer = answer[0]
            (own if own.exists() else FOLDER / "twin.json").write_text(json.dumps(answers))
        status, body = answer
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def fail(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.exit(1)


def forward() -> None:
    if (FOLDER / "forbidden").exists():
        fail("error: error upgrading connection: pods is forbidden: cannot create pods/portforward")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Twin)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"Forwarding from 127.0.0.1:{server.server_port} -> 8081", flush=True)
    server.serve_forever()


def get(words: list[str]) -> None:
    kind = words[0].split(".")[0]
    if len(words) == 1:
        items = [json.loads(path.read_text()) for path in sorted(FOLDER.glob(f"{kind}.*.json"))]
        print(json.dumps({"items": items}))
        return
    path = FOLDER / f"{kind}.{words[1]}.json"
    then = FOLDER / f"then.{path.name}"
    if then.exists() and (FOLDER / "patched.json").exists():
        rest = json.loads(then.read_text())
        print(json.dumps(rest[0]))
        then.write_text(json.dumps(rest[1:] or rest))
    elif path.exists():
        document = json.loads(path.read_text())
        if isinstance(document, list):
            path.write_text(json.dumps(document[1:] or document))
            document = document[0]
        print(json.dumps(document))
    elif "--ignore-not-found" not in sys.argv:
        fail(f'Error from server (NotFound): {words[0]} "{words[1]}" not found')


def write(verb: str, text: str) -> None:
    document = json.loads(text)
    kind, name = document["kind"].lower(), document["metadata"]["name"]
    if (FOLDER / f"{verb} is forbidden").exists():
        who = f'{kind}s "{name}" is forbidden: User "ana" cannot patch resource "{kind}s"'
        fail(f"Error from server (Forbidden): {who}")
    if verb == "create" and (FOLDER / f"{kind}.{name}.json").exists():
        what = f'error when creating "STDIN": {kind}s "{name}" already exists'
        fail(f"Error from server (AlreadyExists): {what}")
    (FOLDER / "created.json").write_text(text)


def stamp() -> None:
    """Say when a patch would have been made, if this API server tells."""
    path = FOLDER / "cluster time"
    times = [path.read_text(), "2026-01-01T00:00:00Z"] if path.exists() else []
    print(json.dumps({"metadata": {"managedFields": [{"time": time} for time in times]}}))


def patch(words: list[str]) -> None:
    if "--dry-run=server" in sys.argv:
        stamp()
        return
    kind, name, body = words[0].split(".")[0], words[1], words[2]
    if not (FOLDER / f"{kind}.{name}.json").exists():
        fail(f'Error from server (NotFound): {words[0]} "{name}" not found')
    if (FOLDER / "patch is forbidden").exists():
        who = f'User "ana" cannot patch resource "{kind}" in API group "metertwin.io"'
        fail(f'Error from server (Forbidden): {words[0]} "{name}" is forbidden: {who}')
    expected = json.loads(body).get("metadata", {}).get("resourceVersion")
    stored = json.loads((FOLDER / f"{kind}.{name}.json").read_text())
    present = (stored[0] if isinstance(stored, list) else stored)["metadata"]
    if expected is not None and expected != present.get("resourceVersion"):
        why = f'Operation cannot be fulfilled on {words[0]} "{name}": the object has been modified'
        fail(f"Error from server (Conflict): {why}")
    (FOLDER / "patched.json").write_text(body)


def main() -> None:
    with (FOLDER / "calls").open("a") as file:
        file.write(" ".join(sys.argv[1:]) + "\n")
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if (FOLDER / "kubectl says").exists():
        fail((FOLDER / "kubectl says").read_text())
    if words[0] == "port-forward":
        forward()
    elif words[0] == "get":
        get([word for word in words[1:] if word != "json"])
    elif words[0] == "patch":
        patch(words[1:])
    elif words[0] in {"create", "apply"}:
        write(words[0], sys.stdin.read())
    elif words[0] == "config":
        print("from-context", end="")
    else:
        fail(f"unknown {words}")


main()
