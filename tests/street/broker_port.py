"""The demo's broker, or another of its servers, through a forwarded port: what credentials become there."""

import contextlib
import re
import ssl
import subprocess

from demo import NAMESPACE, environment
from mqtt_client import Client

BROKER = "metertwin-mosquitto"


@contextlib.contextmanager
def forwarded_port(service=BROKER, port=8883):
    command = ["kubectl", "-n", NAMESPACE, "port-forward", f"service/{service}", f":{port}"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
    ) as process:
        try:
            line = process.stdout.readline().decode()
            found = re.search(r":(\d+) ->", line)
            assert found, f"no port is forwarded: {line!r}"
            yield int(found.group(1))
        finally:
            process.terminate()


def build_context(folder, ca, certificate, key):
    """Return a TLS context of PEM texts; `folder` is where they are written for it."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, content in (("tls.crt", certificate), ("tls.key", key)):
        files.append(folder / name)
        files[-1].write_bytes(content)
    context = ssl.create_default_context(cadata=ca.decode())
    context.check_hostname = False  # it is reached through a forwarded port
    context.load_cert_chain(*files)
    return context


class ForwardedClient(Client):
    """A client on a way of its own: kubectl gives up all of a port when one connection breaks."""

    def __init__(self, context, **options):
        self.way = contextlib.ExitStack()
        super().__init__(self.way.enter_context(forwarded_port()), context, **options)

    def close(self):
        try:
            super().close()
        finally:
            self.way.close()
