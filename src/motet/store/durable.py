"""Files that are whole or not there: written beside, flushed to the disk, then renamed into place.

A process killed while it writes leaves a temporary file, whose name no reader looks for.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from motet.errors import RunError

SQLITE = b"SQLite format 3\0"  # how its files begin
UNFINISHED = ".unfinished"
"""How the name of a file that is being written ends."""


def write(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Puts a file in place of what `path` was: at any moment the old one or the new one is there, whole."""
    with refused(path):
        folder(path.parent)
        beside = path.with_name(f"{path.name}.{secrets.token_hex(6)}{UNFINISHED}")
        try:
            with beside.open("xb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        settle(path.parent)


def folder(path: Path) -> None:
    """Makes a folder and those above it, so that they are there after a power cut too."""
    if not path.is_dir():
        folder(path.parent)
        path.mkdir(exist_ok=True)
        settle(path.parent)


def write_ahead(connection: sqlite3.Connection, path: Path) -> None:
    """Makes a SQLite file log ahead, which lets it be read while it is written. Errors: sqlite3's.

    One at a time: SQLite does not wait for whoever else is changing a file to that, it fails at once.
    """
    if _holds_something_else(path):  # beside which no lock is left
        raise sqlite3.DatabaseError("file is not a database")
    with FileLock(path.with_name(f"{path.name}-opening")):
        connection.execute("pragma journal_mode = wal")


def _holds_something_else(path: Path) -> bool:
    """Whether a file is there that SQLite has not written."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SQLITE)) not in (b"", SQLITE)


def settle(path: Path) -> None:
    """Waits until the names in a folder are on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def refused(path: Path) -> Generator[None]:
    """A file that the system would not write (a full disk, no permission) becomes one clear error."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"could not write {path}: {error.strerror or error}",
            help="make room on that disk, or right its permissions, and run again: what was kept is whole",
        ) from error


def damaged(path: Path, why: str, help: str = "") -> RunError:
    """help: what to do, where what the file held is not made again by itself."""
    again = f"delete it, and what it held is made again: rm -r {str(path)!r}"
    return RunError(f"{path} is damaged: {why}", help=help or again)


def unreadable(path: Path, error: OSError) -> RunError:
    return RunError(
        f"could not read {path}: {error.strerror or error}",
        help=f"right its permissions, or delete it to have what it held made again: rm -r {str(path)!r}",
    )


def leftovers(root: Path, seconds: float) -> Iterator[Path]:
    """Files that a killed process never finished, untouched for some seconds."""
    for path in root.rglob(f"*{UNFINISHED}"):
        try:
            if path.stat().st_mtime < time.time() - seconds:
                yield path
        except FileNotFoundError:
            continue
