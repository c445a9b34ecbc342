"""What a log promises, whatever it is kept in."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from motet.errors import RunError
from motet.serve.engine import Overloaded
from motet.serve.journal import Conflict, Distant, Entry, Happened, Journal, Reader, Unavailable
from motet.serve.log import WAITING, Log, entries, opened, written
from motet.serve.log_sqlite import SqliteJournal

Journals = Callable[[], Journal]


def happened(id: str, digest: str = "d") -> Happened:
    return Happened(id, "Purchase", "{}", digest)


@contextmanager
def started(journal: Journal) -> Generator[Log]:
    log = Log(journal)
    log.start()
    try:
        yield log
    finally:
        log.stop()


def ids(journal: Journal) -> list[str]:
    return [entry.id for entry in entries(journal)]


def test_what_is_acknowledged_is_there_for_every_other_process(journals: Journals) -> None:
    with started(journals()) as log:
        assert log.append([happened("a"), happened("b")]).result(10) == 2
        assert ids(journals()) == ["a", "b"]
        assert log.append([happened("c")]).result(10) == 1
        assert ids(journals()) == ["a", "b", "c"]


def test_the_same_id_counts_once_and_another_event_under_it_is_refused(journals: Journals) -> None:
    journal = journals()
    first, again = [happened("a"), happened("a"), happened("b")], [happened("b"), happened("c")]
    other, later = [happened("d"), happened("a", "other")], [happened("d")]
    twice = [happened("e"), happened("e", "other")]
    said = written(journal, [first, again, other, later, twice])
    assert [result if isinstance(result, int) else result.id for result in said] == [2, 1, "a", 1, "e"]
    assert ids(journals()) == ["a", "b", "c", "d"]
    said = written(journal, [[happened("a"), happened("f")], [happened("b", "other")]])
    assert [result if isinstance(result, int) else result.id for result in said] == [1, "b"]
    assert isinstance(said[1], Conflict)


def test_any_text_comes_back_as_it_went(journals: Journals) -> None:
    event = Happened("ü '\"%s🙂", "Purchase", '{"search":"\\u0000 \\ud83d\\ude42 %s"}', "d")
    written(journals(), [[event]])
    assert list(entries(journals())) == [Entry(1, event.id, event.type, event.fields)]


def test_who_reads_on_while_several_write_misses_nothing_and_sees_all_in_one_order(journals: Journals) -> None:
    mine, theirs = journals(), journals()
    writers = [started(mine), started(theirs)]
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(writer) for writer in writers]
        read: list[Entry] = []
        over = threading.Event()

        def follow() -> None:
            reader = journals().reader()
            done = False
            while not done:
                done = over.is_set()
                while page := reader.read(read[-1].number if read else 0, 7):
                    read.extend(page)
            reader.close()

        thread = threading.Thread(target=follow)
        thread.start()
        futures = [log.append([happened(f"{n}-{i}")]) for i in range(60) for n, log in enumerate(logs)]
        assert sum(future.result(20) for future in futures) == 120
        over.set()
        thread.join()
        assert len(read) == 120
        assert [entry.id for entry in read] == ids(journals())


def test_a_new_log_may_be_opened_by_many_at_once(tmp_path) -> None:
    """SQLite refuses whoever changes a new file to WAL beside another: of 40 files some would have failed."""

    def open_it(turn: int, one: int) -> Sequence[object]:
        return written(SqliteJournal(tmp_path / str(turn) / "events.sqlite"), [[happened(str(one))]])

    with ThreadPoolExecutor(8) as pool:
        for turn in range(40):
            assert list(pool.map(lambda one, turn=turn: open_it(turn, one), range(8))) == [[1]] * 8


def test_writers_take_turns_so_no_event_appears_before_one_with_a_smaller_number(journals: Journals) -> None:
    first = journals()
    second = threading.Thread(target=written, args=(journals(), [[happened("b")]]))
    with first.transaction():
        first.add([happened("a")])
        second.start()
        second.join(0.3)
        assert second.is_alive()
        assert ids(journals()) == []
    second.join()
    assert ids(journals()) == ["a", "b"]


class Counting(SqliteJournal):
    """Counts its transactions; they fail while it is told so."""

    transactions, fails = 0, False

    @contextmanager
    def transaction(self) -> Generator[None]:
        self.transactions += 1
        if self.fails:
            raise Unavailable("no room")
        with super().transaction():
            yield


def test_all_that_waits_is_one_transaction(tmp_path) -> None:
    journal = Counting(tmp_path / "log")
    log = Log(journal)
    futures = [log.append([happened(str(i))]) for i in range(50)]
    log.start()
    assert [future.result(10) for future in futures] == [1] * 50
    log.stop()
    assert journal.transactions == 1


def test_where_it_cannot_be_written_nothing_is_acknowledged_and_it_goes_on_by_itself(tmp_path) -> None:
    journal = Counting(tmp_path / "log")
    with started(journal) as log:
        journal.fails = True
        with pytest.raises(Unavailable):
            log.append([happened("a")]).result(10)
        journal.fails = False
        assert log.append([happened("a")]).result(10) == 1


def test_what_waits_is_bounded_and_who_no_longer_waits_writes_nothing(tmp_path) -> None:
    log = Log(SqliteJournal(tmp_path / "log"))
    crowd: Sequence[Happened] = [happened("x")] * WAITING
    waiting = log.append(crowd)
    with pytest.raises(Overloaded):
        log.append([happened("a")])
    assert waiting.cancel()
    log.start()
    log.stop()
    assert ids(SqliteJournal(tmp_path / "log")) == []
    with pytest.raises(Overloaded):
        log.append([happened("a")])


class Untold:
    """A version's place in a log of which it need not be told."""

    def __init__(self, reader: Reader, version: Any) -> None:
        self.reader = reader

    def catch_up(self) -> None:
        pass


def test_versions_are_told_while_others_begin_to_follow(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motet.serve.log.Tail", Untold)
    log = Log(SqliteJournal(tmp_path / "log"))
    versions: list[Any] = [Untold(log.journal.reader(), None) for _ in range(3_000)]
    following = threading.Thread(target=lambda: [log.look(version) for version in versions])
    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        following.start()
        while following.is_alive():
            log._tell()
        following.join()
    finally:
        sys.setswitchinterval(often)
    assert len(log._tailing()) == 3_000
    del versions[1_000:]
    gc.collect()
    assert len(log._tailing()) == 1_000


def test_stopping_writes_what_waits(tmp_path) -> None:
    log = Log(SqliteJournal(tmp_path / "log"))
    futures = [log.append([happened(str(i))]) for i in range(5)]
    log.start()
    log.stop()
    assert [future.result(0) for future in futures] == [1] * 5


def test_a_log_is_where_it_is_said_to_be_and_what_cannot_be_one_is_refused(tmp_path) -> None:
    opened(None, "goods", tmp_path)
    assert (tmp_path / "events" / "goods.sqlite").is_file()
    assert not isinstance(opened(str(tmp_path / "other"), "goods", tmp_path), Distant)
    with pytest.raises(RunError, match="cannot be used"):
        opened(str(tmp_path), "goods", tmp_path)
    with pytest.raises(RunError, match="cannot be used") as raised:
        opened(f"postgresql:///x?host={tmp_path}", "goods", tmp_path)
    assert "--events" in raised.value.help
