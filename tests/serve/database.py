"""A PostgreSQL server of a test's own, in a folder that goes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

PLACES = [Path("/usr/lib/postgresql"), Path("/usr/local/lib/postgresql")]  # Debian: a folder a major version
QUICK = "-c listen_addresses='' -c fsync=off -c shared_buffers=16MB -c max_connections=40"


class Database:
    """A server that can be stopped and started. It listens on a socket in its folder only."""

    def __init__(self, programs: Path, folder: Path, user: str) -> None:
        self.programs, self.folder, self.user = programs, folder, user
        self.url = f"postgresql:///postgres?host={quote(str(folder), safe='')}&user={user}"

    def run(self, program: str, *args: str) -> None:
        command = [str(self.programs / program), "-D", str(self.folder / "data"), *args]
        user = self.user if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
        subprocess.run(command, user=user, cwd=self.folder, check=True, capture_output=True, timeout=60)

    def start(self) -> None:
        log = str(self.folder / "log")
        self.run("pg_ctl", "start", "-w", "-s", "-l", log, "-o", f"{QUICK} -k {self.folder}")

    def stop(self) -> None:
        """As a power cut would."""
        self.run("pg_ctl", "stop", "-w", "-s", "-m", "immediate")


def running() -> Iterator[Database]:
    """For a fixture: a server until the tests are done. Skips where PostgreSQL is not installed."""
    found = sorted((p.parent for place in PLACES for p in place.glob("*/bin/pg_ctl")), key=lambda p: int(p.parent.name))
    on_path = shutil.which("pg_ctl")
    if not found and on_path is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="motet-pg-"))
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    database = Database(found[-1] if found else Path(on_path or "").parent, folder, user)
    try:
        if os.getuid() == 0:
            shutil.chown(folder, user)
        database.run("initdb", "-A", "trust", "-U", user, "--no-sync")
        database.start()
        yield database
        database.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
