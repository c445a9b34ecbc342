"""How a version sees what has happened."""

from __future__ import annotations

import gc
import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import motet as mt
from motet.fitted import Fitted, published
from motet.serve.export import exported
from motet.serve.journal import Happened, Journal
from motet.serve.log import Log, written
from motet.serve.log_sqlite import SqliteJournal
from motet.serve.version import Version
from tests.serve.served import goods, prepared
from tests.shop import Buyer, Item, Purchase

ASK = {"buyer": "new", "amount": 1.0, "at": 3_000_000}


@pytest.fixture
def fitted(tmp_path: Path) -> Fitted:
    return prepared(tmp_path / "store")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(SqliteJournal(tmp_path / "log"))
    made.start()
    yield made
    made.stop()


def bought(item: Any, at: Any = 2_000_000, buyer: str = "new", **fields: Any) -> Happened:
    row = {"buyer": buyer, "amount": 1.0, "at": at, "item": item, "stars": 4.0, **fields}
    return Happened(f"{buyer} {item} {at}", "Purchase", json.dumps(row), "d")


def recent(version: Version) -> list[int]:
    return version.answer([ASK])[0]["recent"]


def test_what_is_acknowledged_is_in_the_past_of_the_next_batch(fitted: Fitted, log: Log) -> None:
    version = Version(fitted, 1)
    log.look(version)
    for item in (3, 5):
        log.append([bought(item, 2_000_000 + item)]).result(10)
        log.look(version)
    assert recent(version) == [3, 5]


def test_what_another_process_has_acknowledged_is_seen_too(fitted: Fitted, log: Log, tmp_path: Path) -> None:
    version, other = Version(fitted, 1), SqliteJournal(tmp_path / "log")
    log.look(version)
    written(other, [[bought(7)]])
    log.look(version)
    assert recent(version) == [7]
    other.close()


def test_what_another_worker_has_acknowledged_in_a_distant_journal_is_seen_by_the_next_batch(
    fitted: Fitted, journals: Callable[[], Journal], tmp_path: Path
) -> None:
    mine, other = (Log(journals(), tmp_path / "written") for _ in range(2))
    version = Version(fitted, 1)
    mine.look(version)  # of its threads none runs, so that nothing else tells it
    other.start()
    for item in range(10):
        other.append([bought(item, 2_000_000 + item)]).result(10)
        mine.look(version)
        assert recent(version)[-1] == item
    other.stop()
    mine.stop()


def test_a_version_that_comes_later_is_told_all_of_it_once(fitted: Fitted, log: Log) -> None:
    first = Version(fitted, 1)
    log.append([bought(i, 2_000_000 + i) for i in range(3)]).result(10)
    log.look(first)
    second = Version(published(goods, name="goods", store=fitted.store.root, quiet=True), 2)
    threads = [threading.Thread(target=log.look, args=(second,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recent(first) == recent(second) == [0, 1, 2]


def test_an_event_that_does_not_fit_is_left_out_alone(
    fitted: Fitted, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    odd = [
        bought("tea"),
        Happened("gone", "Visit", "{}", "d"),
        bought(4, colour=1),
        Happened("n", "Purchase", "7", "d"),
    ]
    log.append([bought(1, 2_000_001), *odd, bought(2, 2_000_002)]).result(10)
    version = Version(fitted, 1)
    with caplog.at_level(logging.WARNING):
        log.look(version)
    assert recent(version) == [1, 2]
    assert caplog.text.count("does not fit Purchase") == 3


def test_what_the_data_hold_already_is_not_told_again(tmp_path: Path, log: Log) -> None:
    """As after an export that was added to the training data: the events are in both."""
    times = {1: 2_000_000.25, 2: "2001-02-03T04:05:06Z", 3: 2_000_300}
    log.append([bought(item, at) for item, at in times.items()]).result(10)
    store, file = tmp_path / "store", tmp_path / "new.jsonl"
    before = Version(prepared(store), 1)
    log.look(before)
    assert exported(goods, "goods", file, where=str(tmp_path / "log"), store=store) == 3
    data = mt.Data(
        {
            Purchase: file,
            Item: [{"item_id": i, "name": "x", "price": 1, "kind": "x"} for i in range(12)],
            Buyer: [{"buyer_id": "new", "age": 7}],
        }
    )
    after = Version(prepared(tmp_path / "other", data=data), 2)
    log.look(after)
    log.append([bought(4, 2_000_400)]).result(10)
    log.look(after)
    log.look(before)
    assert sorted(after.answer([{**ASK, "at": 2e9}])[0]["recent"]) == [2, 3, 4]
    seen = mt.past(Purchase.item, by=Purchase.buyer).count()
    for version in (before, after):
        run = version.begin([{**ASK, "at": 2e9}]).run
        assert run.value(seen).tolist() == [4]


def test_where_the_log_cannot_be_read_the_past_stays_as_it_was(
    fitted: Fitted, log: Log, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = Version(fitted, 1)
    log.append([bought(1, 2_000_001)]).result(10)
    log.look(version)
    log.append([bought(2, 2_000_002)]).result(10)
    reader: Any = log._tails[version].reader
    cursor, reader._cursor = reader._cursor, Broken()
    log.look(version)
    log.look(version)
    assert recent(version) == [1]
    assert caplog.text.count("cannot be read") == 1
    reader._cursor = cursor
    log.look(version)
    assert recent(version) == [1, 2]


class Broken:
    def execute(self, *query: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")


def test_a_version_that_nobody_needs_any_more_is_let_go(fitted: Fitted, log: Log) -> None:
    version = Version(fitted, 1)
    log.look(version)
    reader: Any = log._tails[version].reader
    del version
    gc.collect()
    assert not log._tails
    log.look(Version(fitted, 2))
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        reader._cursor.execute("select 1")
