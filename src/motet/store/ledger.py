"""The ledger: what each model application has cost so far, added up across runs and processes."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from motet.cost import Cost
from motet.errors import RunError
from motet.store import durable

FIELDS = [field.name for field in dataclasses.fields(Cost)]
_PEAK = "peak_bytes = max(ifnull(peak_bytes, excluded.peak_bytes), ifnull(excluded.peak_bytes, peak_bytes))"
# What an earlier Motet did not count is nothing; of memory, not known.
_KNOWN = [name if name == "peak_bytes" else f"ifnull({name}, 0)" for name in FIELDS]
_SUMS = [
    _PEAK if name == "peak_bytes" else f"{name} = {known} + excluded.{name}"
    for name, known in zip(FIELDS, _KNOWN, strict=True)
]
_TABLE = f"create table if not exists cost (fingerprint text primary key, {', '.join(FIELDS)}) without rowid"
_ADD = (
    f"insert into cost (fingerprint, {', '.join(FIELDS)}) values (?, {', '.join('?' for _ in FIELDS)}) "
    f"on conflict do update set {', '.join(_SUMS)}"
)
_READ = f"select {', '.join(_KNOWN)} from cost where fingerprint = ?"


def read(path: Path, fingerprint: str) -> Cost | None:
    if not path.exists():
        return None
    with _opened(path) as ledger:
        row = ledger.execute(_READ, [fingerprint]).fetchone()
    return None if row is None else Cost(*row)


def add(path: Path, fingerprint: str, cost: Cost) -> None:
    """Adds to what is there, at once and whole."""
    with durable.refused(path):
        durable.folder(path.parent)
    with _opened(path) as ledger:
        ledger.execute(_ADD, [fingerprint, *dataclasses.astuple(cost)])


@contextmanager
def _opened(path: Path) -> Generator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as ledger:
            # A power cut may cost the last sums, which are only estimates; it never damages the file.
            durable.write_ahead(ledger, path)
            ledger.execute("pragma synchronous = normal")
            ledger.execute(_TABLE)
            _widen(ledger)
            yield ledger
    except (sqlite3.OperationalError, OSError) as error:
        raise RunError(f"could not use {path}: {error}", help="make room on that disk and run again") from error
    except sqlite3.DatabaseError as error:
        raise durable.damaged(path, str(error)) from error


def _widen(ledger: sqlite3.Connection) -> None:
    """Gives a ledger that an earlier Motet has begun room for what is counted now."""
    if _narrow(ledger):
        ledger.execute("begin immediate")  # one process at a time
        for name in _narrow(ledger):
            ledger.execute(f"alter table cost add column {name}")
        ledger.execute("commit")


def _narrow(ledger: sqlite3.Connection) -> list[str]:
    known = {row[1] for row in ledger.execute("pragma table_info(cost)")}
    return [name for name in FIELDS if name not in known]
