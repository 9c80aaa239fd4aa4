"""An error that Linux keeps on a connection does not keep the meter's loop awake for ever."""

import socket
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import asyncio, select, socket, struct, sys, time
sys.path[:0] = SOURCES
import mqtt_shell
TIMESTAMPING, TX_SOFTWARE = 37, 2 | 16
async def main():
    stream, _ = await asyncio.open_connection("127.0.0.1", PORT)
    stream.s.setsockopt(socket.SOL_SOCKET, TIMESTAMPING, TX_SOFTWARE)
    for _ in range(2):
        stream.s.send(b"x")
    stream.s.setsockopt(socket.SOL_SOCKET, TIMESTAMPING, 0)
    time.sleep(0.2)
    poll = select.poll()
    poll.register(stream.s, select.POLLIN)
    print(len(poll.poll(0)))
    mqtt_shell._no_delay(stream)
    print(len(poll.poll(0)))
asyncio.run(main())
"""
"""What Linux says of packets that were sent waits where it keeps such errors, and wakes as they do."""


def test_what_linux_kept_before_the_first_octet_wakes_no_poll_afterwards():
    with socket.create_server(("127.0.0.1", 0)) as server:
        sources = [f"{ROOT}/firmware/src", f"{ROOT}/wire/src"]
        program = PROGRAM.replace("SOURCES", repr(sources))
        program = program.replace("PORT", str(server.getsockname()[1]))
        command = [ROOT / "tools/micropython/micropython", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.stdout.split() == ["1", "0"], done.stdout + done.stderr
