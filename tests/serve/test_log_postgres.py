"""The log in PostgreSQL, where the server goes away and comes back."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from motet.serve.journal import Happened, Unavailable
from motet.serve.log import Log, entries, written
from motet.serve.log_postgres import PostgresJournal
from tests.serve.database import Database


def happened(id: str) -> Happened:
    return Happened(id, "Purchase", "{}", "d")


def test_nothing_acknowledged_is_lost_where_the_server_dies_under_load(database: Database) -> None:
    log, acknowledged, refused = Log(PostgresJournal(database.url, "dies")), list[str](), list[str]()
    log.start()
    stop = threading.Event()

    def post() -> None:
        while not stop.is_set():
            id = f"{threading.get_ident()} {len(acknowledged)} {time.monotonic_ns()}"
            try:
                log.append([happened(id)]).result(20)
                acknowledged.append(id)
            except Unavailable:
                refused.append(id)
                time.sleep(0.01)

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        time.sleep(0.3)
        database.stop()
        time.sleep(0.2)
        database.start()
    time.sleep(0.5)
    before = len(acknowledged)
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    log.stop()
    assert refused
    assert len(acknowledged) > before  # it goes on by itself
    assert set(acknowledged) <= {entry.id for entry in entries(PostgresJournal(database.url, "dies"))}


def test_a_waiting_process_hears_of_what_another_has_written(database: Database) -> None:
    mine, other = PostgresJournal(database.url, "heard"), PostgresJournal(database.url, "heard")
    mine.wait(0.01)  # it listens from now on
    heard = threading.Thread(target=mine.wait, args=(10.0,))
    heard.start()
    began = time.monotonic()
    written(other, [[happened("a")]])
    heard.join()
    assert time.monotonic() - began < 5
    began = time.monotonic()
    mine.wait(0.2)
    assert time.monotonic() - began >= 0.2
    mine.close()
    other.close()


def test_graphs_do_not_share_a_log(database: Database) -> None:
    one, other = PostgresJournal(database.url, "one"), PostgresJournal(database.url, 'o"; drop table x; --')
    written(one, [[happened("a")]])
    written(other, [[happened("a"), happened("b")]])
    assert [entry.id for entry in entries(one)] == ["a"]
    assert [entry.id for entry in entries(other)] == ["a", "b"]
    one.close()
    other.close()


def test_commits_wait_for_the_disk_even_where_the_server_does_not_ask_for_it(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as admin:
        admin.execute("alter role current_user set synchronous_commit = off")
        journal = PostgresJournal(database.url, "sync")
        with journal.transaction(), journal._writing.opened(journal._made) as connection:
            assert connection.execute("show synchronous_commit").fetchone() == ("on",)
        journal.close()
        admin.execute("alter role current_user reset synchronous_commit")


def test_a_server_that_does_not_answer_is_unavailable(database: Database) -> None:
    with pytest.raises(Unavailable):
        written(PostgresJournal(database.url + "&dbname=none", "x"), [[happened("a")]])
