"""A real PostgreSQL in a folder, on a loopback port, that tests may kill."""

import contextlib
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from typing import Self


def find_programs() -> pathlib.Path:
    """Return the folder of PostgreSQL's programs: Debian keeps them out of PATH."""
    folders = sorted(
        pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: int(one.parent.name)
    )
    if folders:
        return folders[-1]
    found = shutil.which("postgres")
    assert found is not None, "PostgreSQL is missing: tools/deps installs it"
    return pathlib.Path(found).resolve().parent


class PostgresServer:
    """Runs as user `postgres` if we are root, as PostgreSQL refuses root."""

    def __init__(self, folder: pathlib.Path | None = None, **settings: str) -> None:
        self._own = None
        if (
            folder is None
        ):  # pytest's folders are root's alone, and each of its sessions sees to that
            folder = self._own = pathlib.Path(tempfile.mkdtemp(prefix="metertwin-postgres-"))
        self.programs = find_programs()
        self.data = folder / "data"
        self.settings = {"max_connections": "60", "shared_buffers": "64MB"} | settings
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._log = folder / "log"
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            self._identity = {"user": user.pw_uid, "group": user.pw_gid}
            os.chown(folder, user.pw_uid, user.pw_gid)
        else:
            self._identity = {}
        self._run(
            "initdb",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--no-locale",
            str(self.data),
        )

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **self._identity,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until it answers."""
        deadline = time.monotonic() + 60
        self._launch()
        while time.monotonic() < deadline:
            ready = subprocess.run(
                [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                check=False,
            )
            if ready.returncode == 0:
                return
            if not self.runs:
                # Children of one that was killed hold its shared memory for a moment.
                assert "is still in use" in self._log.read_text()[-2000:], self._log.read_text()
                self._launch()
            time.sleep(0.05)
        raise AssertionError(self._log.read_text())

    def _launch(self) -> None:
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.data), "-p", str(self.port),
                 "-clisten_addresses=127.0.0.1", "-cunix_socket_directories=", *options],
                stdout=log, stderr=log, cwd="/", **self._identity,
            )  # fmt: skip

    def kill(self) -> None:
        """End it as a crash of its machine's kernel would: every process at once, by SIGKILL."""
        assert self.process is not None
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        for pid in [self.process.pid, *map(int, children.stdout.split())]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop_process(self) -> None:
        """End it well; its folder stays."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)

    def stop(self) -> None:
        """End it well."""
        self.stop_process()
        if self._own is not None:
            shutil.rmtree(self._own)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def new_database(self) -> str:
        """Make a database; return its URL."""
        name = f"test_{secrets.token_hex(4)}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", name)
        return self.url(name)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
