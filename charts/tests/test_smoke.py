"""The script of `helm test`, against a small HTTP server that plays the API server."""

import http.server
import importlib.util
import json
import threading
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "metertwin" / "files" / "smoke.py"


class Api(http.server.BaseHTTPRequestHandler):
    """Keeps resources; a meter becomes Ready after `server.looks` reads."""

    def reply(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(("POST", body["kind"]))
        if body["kind"] == self.server.refused:
            self.reply(422, {"message": "refused"})
            return
        self.reply(201, body)

    def do_GET(self) -> None:
        self.server.looks -= 1
        condition = {"type": "Ready", "status": "False", "reason": "Waiting", "message": "not yet"}
        if self.server.looks < 0:
            condition.update(status="True", reason="Serving", observedGeneration=1)
        status = {"conditions": [condition]}
        self.reply(200, {"metadata": {"generation": self.server.generation}, "status": status})

    def do_DELETE(self) -> None:
        self.server.seen.append(("DELETE", self.path.split("/")[-2]))
        self.reply(200, {})

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def api():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.seen, server.looks, server.refused, server.generation = [], 2, "", 1
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def smoke(api, monkeypatch, tmp_path):
    """The script as a module, pointed at the fake API server."""
    monkeypatch.setenv("METER_NAMESPACE", "demo")
    monkeypatch.setenv("TIMEOUT_SECONDS", "4")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.server_port))
    (tmp_path / "token").write_text("t")
    source = SCRIPT.read_text()
    source = source.replace("/var/run/secrets/kubernetes.io/serviceaccount", str(tmp_path))
    source = source.replace("https://", "http://").replace('cafile=str(ACCOUNT / "ca.crt")', "")
    path = tmp_path / "smoke.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("smoke", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sample_meter_becomes_ready_and_is_removed(smoke, api):
    assert smoke.main() == 0
    assert api.seen == [
        ("POST", "TwinProfile"),
        ("POST", "SmartMeter"),
        ("DELETE", "smartmeters"),
        ("DELETE", "twinprofiles"),
    ]


def test_a_meter_that_does_not_become_ready_fails_and_is_removed(smoke, api, capsys):
    api.looks = 1000
    assert smoke.main() == 1
    assert api.seen[-1] == ("DELETE", "twinprofiles")
    assert "Waiting: not yet" in capsys.readouterr().out


def test_ready_for_an_older_generation_is_not_ready(smoke, api):
    api.generation = 2
    assert smoke.main() == 1


def test_a_refused_resource_fails_with_its_reason(smoke, api, capsys):
    api.refused = "SmartMeter"
    assert smoke.main() == 1
    assert "refused" in capsys.readouterr().out
