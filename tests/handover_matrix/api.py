"""The API server over HTTP: objects, watches and logs, with nothing in between that takes time.

A fault has to fall between two decisions that are a tenth of a second apart; starting kubectl takes
longer. Whatever fails raises `ApiError`, also while the API server is away. Neighbour: `watcher`.
"""

import base64
import contextlib
import http.client
import json
import ssl
import tempfile
import time
import urllib.parse

from demo import NAMESPACE, run

METERS = f"/apis/metertwin.io/v1alpha1/namespaces/{NAMESPACE}/smartmeters"
CORE = f"/api/v1/namespaces/{NAMESPACE}"
TIMEOUT_S = 45
OK = range(200, 300)


class ApiError(AssertionError):
    """The API server does not answer, or refuses; an assertion, so that `until` asks again."""


class Api:
    """The cluster of KUBECONFIG."""

    def __init__(self):
        view = ["kubectl", "config", "view", "--raw", "--flatten", "--minify", "-o", "json"]
        found = json.loads(run(*view).stdout)
        cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
        self._server = urllib.parse.urlsplit(cluster["server"])
        self._context = ssl.create_default_context()
        self._context.load_verify_locations(cadata=_decode(cluster, "certificate-authority-data"))
        self._headers = {}
        if "token" in user:
            self._headers["Authorization"] = f"Bearer {user['token']}"
        else:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(_decode(user, "client-certificate-data"))
                file.write(_decode(user, "client-key-data"))
                file.flush()
                self._context.load_cert_chain(file.name)

    @contextlib.contextmanager
    def _request(self, method, path, body=None, kind="application/json", timeout_s=TIMEOUT_S):
        connection = http.client.HTTPSConnection(
            self._server.hostname, self._server.port, timeout=timeout_s, context=self._context
        )
        try:
            headers = {**self._headers, "Content-Type": kind}
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            if answer.status not in OK:
                raise ApiError(f"{method} {path}: {answer.status} {answer.read()[:300]!r}")
            yield answer
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def _do(self, *request):
        with self._request(*request) as answer:
            return json.loads(answer.read())

    def get(self, path):
        return self._do("GET", path)

    def patch(self, path, body):
        return self._do("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path, grace_s=None):
        body = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        return self._do("DELETE", path, body)

    def lines(self, path, timeout_s=None):
        """Yield the lines of a watch or a log until it ends."""
        with self._request("GET", path, timeout_s=timeout_s) as answer:
            while line := answer.readline():
                yield line

    def watch(self, path, selector=""):
        """Yield (type, object) for ever; what is there already comes first, each time anew."""
        query = f"labelSelector={urllib.parse.quote(selector)}" if selector else ""
        while True:
            try:
                listed = self.get(f"{path}?{query}")
                for item in listed["items"]:
                    yield "ADDED", item
                version = listed["metadata"]["resourceVersion"]
                following = f"{path}?{query}&watch=1&resourceVersion={version}"
                for line in self.lines(following):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        break
                    yield event["type"], event["object"]
            except ApiError:
                time.sleep(0.3)


def _decode(fields, name):
    return base64.b64decode(fields[name]).decode()
