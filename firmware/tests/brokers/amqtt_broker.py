"""amqtt's broker on a port of the loopback, for whoever comes: `amqtt_broker.py PORT`."""

import asyncio
import sys

from amqtt.broker import Broker


async def main(port):
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    listener = {"type": "tcp", "bind": f"127.0.0.1:{port}"}
    broker = Broker({"listeners": {"default": listener}, "plugins": plugins})
    await broker.start()
    await asyncio.Event().wait()


asyncio.run(main(int(sys.argv[1])))
