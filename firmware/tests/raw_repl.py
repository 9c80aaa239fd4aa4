"""A raw REPL over TCP, as a board has it on its serial port: run by MicroPython's unix port.

micropython raw_repl.py PORT FOLDER: what is in FOLDER is the board's root. Source: MicroPython's
shared/runtime/pyexec.c as its documentation describes it (reference/repl, "Raw mode"); raw paste is
declined, which mpremote understands. The process ends when the board is reset.
"""

import io
import os
import socket
import sys

import vfs

PROMPT = b"raw REPL; CTRL-B to exit\r\n>"


class Repl:
    def __init__(self, line):
        self.line = line
        self.globals = {}

    def show(self, *values, sep=" ", end="\n"):
        text = sep.join([value if isinstance(value, str) else str(value) for value in values])
        self.line.write((text + end).encode())

    def execute(self, code):
        self.globals.setdefault("print", self.show)
        try:
            exec(code, self.globals)
            error = b""
        except Exception as one:  # noqa: BLE001 - it goes to the other end
            text = io.StringIO()
            sys.print_exception(one, text)
            error = text.getvalue().encode()
        self.line.write(b"\x04" + error + b"\x04>")

    def serve(self):
        code = b""
        while True:
            octet = self.line.read(1)
            if not octet:
                return
            if octet == b"\x01":
                code = b""
                self.line.write(PROMPT)
            elif octet in b"\x02\x03":
                code = b""
            elif octet == b"\x05":  # raw paste: two octets follow
                self.line.read(2)
                self.line.write(b"R\x00")
            elif octet == b"\x04":
                if code.strip():
                    self.line.write(b"OK")
                    self.execute(code.decode())
                else:
                    self.globals = {}
                    self.line.write(b"OK\r\nMPY: soft reboot\r\n" + PROMPT)
                code = b""
            else:
                code += octet


class Machine:
    """What a unix port lacks of `machine`: a reset ends the process."""

    @staticmethod
    def reset():
        os._exit(0) if hasattr(os, "_exit") else sys.exit(0)


def main(port, folder):
    sys.modules["machine"] = Machine
    vfs.umount("/")
    vfs.mount(vfs.VfsPosix(folder), "/")
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    server.listen(1)
    while True:
        line = server.accept()[0]
        line.setsockopt(6, 1, 1)  # IPPROTO_TCP, TCP_NODELAY
        try:  # noqa: SIM105 - MicroPython
            Repl(line).serve()
        except OSError:
            pass
        line.close()


main(int(sys.argv[1]), sys.argv[2])
