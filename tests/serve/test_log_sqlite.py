"""The log in a SQLite file, where processes die and disks are full."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from motet.serve.journal import Happened, Unavailable
from motet.serve.log import Log, entries, written
from motet.serve.log_sqlite import SqliteJournal

WRITES = """
import sys
from pathlib import Path
from motet.serve.journal import Happened
from motet.serve.log import Log
from motet.serve.log_sqlite import SqliteJournal

log = Log(SqliteJournal(Path(sys.argv[1])))
log.start()
number = 0
while True:
    futures = [(n, log.append([Happened(str(n), "Purchase", "{}", "d")])) for n in range(number, number + 20)]
    for n, future in futures:
        future.result()
        print(n, flush=True)
    number += 20
"""


def happened(id: str, fields: str = "{}") -> Happened:
    return Happened(id, "Purchase", fields, "d")


def test_what_a_killed_process_has_acknowledged_is_there(tmp_path: Path) -> None:
    path, acknowledged = tmp_path / "log", set[str]()
    for kill_after in (1, 30, 95):
        process = subprocess.Popen([sys.executable, "-c", WRITES, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(kill_after):
            acknowledged.add(process.stdout.readline().strip())
        os.kill(process.pid, signal.SIGKILL)
        acknowledged |= {line.strip() for line in process.stdout if line.endswith("\n")}
        process.wait()
        process.stdout.close()
        kept = [entry.id for entry in entries(SqliteJournal(path))]
        assert acknowledged <= set(kept)
        assert len(kept) == len(set(kept))


def test_every_commit_is_flushed_to_the_disk(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "log")
    with journal.transaction():
        connection = journal._opened()
        assert connection.execute("pragma synchronous").fetchone() == (2,)
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    journal.close()


@contextmanager
def no_room(size: int) -> Generator[None]:
    """No file may become longer than this, for this process: what a full disk does, as far as SQLite can tell."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_loses_nothing_and_it_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    path, acknowledged = tmp_path / "log", list[str]()
    log = Log(SqliteJournal(path))
    log.start()
    try:
        with no_room(200_000):
            for i in range(100):
                with contextlib.suppress(Unavailable):
                    log.append([happened(str(i), "x" * 5_000)]).result(10)
                    acknowledged.append(str(i))
        assert 0 < len(acknowledged) < 100
        assert [entry.id for entry in entries(SqliteJournal(path))] == acknowledged
        assert log.append([happened("later")]).result(10) == 1
        assert [entry.id for entry in entries(SqliteJournal(path))] == [*acknowledged, "later"]
    finally:
        log.stop()


def test_where_nothing_is_new_the_events_are_not_even_looked_at(tmp_path: Path) -> None:
    path, asked = tmp_path / "log", list[str]()
    mine, other = SqliteJournal(path), SqliteJournal(path)
    written(mine, [[happened(str(i)) for i in range(5)]])
    reader = mine.reader()
    assert [entry.number for entry in reader.read(0, 3)] == [1, 2, 3]
    assert [entry.number for entry in reader.read(3, 3)] == [4, 5]
    assert reader._cursor is not None
    reader._cursor.connection.set_trace_callback(asked.append)
    for _ in range(10):
        assert reader.read(5, 3) == []
    assert set(asked) == {"pragma data_version"}
    written(other, [[happened("theirs")]])
    assert [entry.id for entry in reader.read(5, 3)] == ["theirs"]
    for each in (mine, other, reader):
        each.close()


def test_a_file_that_is_no_log_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable):
        written(SqliteJournal(tmp_path / "log"), [[happened("a")]])
    with pytest.raises(Unavailable):
        SqliteJournal(tmp_path / "log").reader().read(0, 1)
