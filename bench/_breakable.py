"""What bench/faults.py breaks and mends: a program, a PostgreSQL server, a disk's room. It is no benchmark itself."""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import psycopg

SMALL = 6 << 20  # bytes of the disk that is filled
SETTINGS = ("-c", "listen_addresses=", "-c", "shared_buffers=16MB", "-c", "max_connections=40")


class Program:
    """A Python program that listens on a port of this machine, killed and started again."""

    def __init__(self, file: Path, port: int) -> None:
        self._command, self._port = [sys.executable, str(file), str(port)], port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command)
        for _ in range(1_000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            time.sleep(0.02)
        raise RuntimeError("the endpoint does not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Database:
    """A PostgreSQL server in a folder of its own, with the durability it has by default."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name  # it refuses to run as root
        self._programs = _programs()
        self._first: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql:///postgres?host={quote(str(folder), safe='')}&user={self._user}"

    def make(self) -> None:
        if os.getuid() == 0:
            shutil.chown(self._folder, self._user)
        if self._run("initdb", "-A", "trust", "-U", self._user).wait():
            raise RuntimeError(f"there is no database:\n{(self._folder / 'log').read_text()[-2000:]}")
        self.start()

    def start(self) -> None:
        """A child of this process, which so sees it end: a lock of a process that nobody waited for would stay."""
        self._first = self._run("postgres", "-k", str(self._folder), *SETTINGS)
        for _ in range(1_000):
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=2):
                return
            time.sleep(0.02)
        raise RuntimeError(f"PostgreSQL does not start:\n{(self._folder / 'log').read_text()[-2000:]}")

    def kill(self) -> None:
        """All of its processes at once."""
        if self._first is None:
            return
        processes = [self._first.pid, *children(self._first.pid)]
        for number in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self._first.wait()
        while any(map(_runs, processes)):
            time.sleep(0.01)

    def _run(self, program: str, *args: str) -> subprocess.Popen[bytes]:
        user = self._user if os.getuid() == 0 else None
        command = [str(self._programs / program), "-D", str(self._folder / "data"), *args]
        with open(self._folder / "log", "ab") as log:
            return subprocess.Popen(command, user=user, cwd=self._folder, stdout=log, stderr=log)


class Room(Protocol):
    """A folder whose disk can be filled and freed. how: by which means."""

    folder: Path
    how: str

    def fill(self) -> None: ...
    def free(self) -> None: ...


class Disk:
    """A small disk of its own: filled until the system says that there is no room."""

    how = f"a tmpfs of {SMALL >> 20} MB, filled until it has no room"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        with open(self.folder / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(1 << 12))

    def free(self) -> None:
        (self.folder / "filler").unlink()


class Quota:
    """Where nothing may be mounted: the system lets this process's children make no file longer than it is."""

    how = "nothing may be mounted here, so a limit on the length of the server's files (EFBIG instead of ENOSPC)"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        self._limit(max(file.stat().st_size for file in self.folder.iterdir()))

    def free(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        for process in children(os.getpid()):
            with contextlib.suppress(OSError):
                resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextlib.contextmanager
def database() -> Generator[Database]:
    folder = Path(tempfile.mkdtemp(prefix="motet-pg-"))
    made = Database(folder)
    try:
        made.make()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def small_disk(folder: Path) -> Generator[Disk | Quota]:
    folder.mkdir()
    mount: list[Any] = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", folder]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield Quota(folder)
        return
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", folder], check=True)


def children(process: int) -> list[int]:
    """What a process started, and what that started."""
    found = list[int]()
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *children(child)]
    return found


def connections(process: int, port: int) -> int:
    """Connections to a port that a process has accepted."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    open_ = {f"socket:[{f[9]}]" for f in lines if f[1].endswith(f":{port:04X}") and f[3] == "01"}
    found = 0
    with contextlib.suppress(OSError):
        for file in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                found += os.readlink(file) in open_
    return found


def _programs() -> Path:
    found = [p for place in ("/usr/lib", "/usr/local/lib") for p in Path(place).glob("postgresql/*/bin/pg_ctl")]
    on_path = shutil.which("pg_ctl")
    if not found and on_path is None:
        sys.exit("PostgreSQL is not there; on Debian: apt-get install postgresql")
    return max(found, key=lambda p: int(p.parts[-3])).parent if found else Path(str(on_path)).parent


def _runs(process: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
