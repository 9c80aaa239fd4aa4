"""A home that tells when a price has come: `price_ear.py DEVICE HOST:PORT USER FOLDER`.

Hears the plans of its meter's twin over the broker (docs/reference/ems-api.md) and writes a line of
JSON for each price that it had not heard before: when, and how much a kWh. FOLDER has ca.crt,
tls.crt and tls.key. The certificate of the broker says localhost, which the other end of a link is
not: its name is not checked here. Ends with its process group.
"""

import json
import sys
import time
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples/ems/src"))

from home_ems.conversation import Conversation
from home_ems.plan import Plan

KEEP_ALIVE_S = 60


def tell(**what: object) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Hear until the process ends."""
    device, place, user, folder = *sys.argv[1:4], Path(sys.argv[4])
    host, _, port = place.rpartition(":")
    conversation, heard = Conversation(device, user), set[float]()

    def subscribe(client: paho.Client, *_: object) -> None:
        client.subscribe([(one, 1) for one in conversation.filters])
        tell(listens=True)

    def take(_client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        now_s = time.time()
        found = conversation.take(message.topic, bytes(message.payload))
        for one in found.prices if isinstance(found, Plan) else ():
            if one.price not in heard:
                heard.add(one.price)
                tell(at=now_s, price=one.price)

    client = paho.Client(CallbackAPIVersion.VERSION2, user, clean_session=True)
    ca, certificate, key = (str(folder / one) for one in ("ca.crt", "tls.crt", "tls.key"))
    client.tls_set(ca, certificate, key)
    client.tls_insecure_set(True)
    client.on_connect = subscribe
    client.on_message = take
    client.connect(host, int(port), KEEP_ALIVE_S)
    client.loop_forever()


if __name__ == "__main__":
    main()
