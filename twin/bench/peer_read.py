"""Milliseconds of cached reads from a twin's port 8443, one after the other, as a JSON list.

    peer_read.py HOST FOLDER [--port 8443] [--path /v1/registers] [--count 500]

FOLDER holds ca.crt, tls.crt and tls.key of a reader that the meter's dataPolicy names, as
`python3 -m meter_pki reader` writes them. One open connection; five reads are not counted. Only the
standard library, so that it runs in any pod or in a node's network.
"""

import argparse
import http.client
import json
import pathlib
import ssl
import sys
import time

UNCOUNTED = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--path", default="/v1/registers")
    parser.add_argument("--count", type=int, default=500)
    found = parser.parse_args()
    context = ssl.create_default_context(cafile=found.folder / "ca.crt")
    context.check_hostname = False  # a pod is asked by its address
    context.load_cert_chain(found.folder / "tls.crt", found.folder / "tls.key")
    connection = http.client.HTTPSConnection(found.host, found.port, context=context, timeout=10)
    times = []
    for _ in range(found.count + UNCOUNTED):
        begun = time.perf_counter()
        connection.request("GET", found.path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            sys.exit(f"{found.path}: {answer.status} {body.decode()}")
        times.append((time.perf_counter() - begun) * 1000)
    print(json.dumps(times[UNCOUNTED:]))


if __name__ == "__main__":
    main()
