"""Events over a real connection: kept before the reply, seen by the viewer's next ask, whatever fails."""

from __future__ import annotations

import contextlib
import json
import resource
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from motet.fitted import Fitted
from motet.serve.log import Log
from motet.serve.log_postgres import PostgresJournal
from motet.serve.log_sqlite import SqliteJournal
from tests.serve.database import Database
from tests.serve.served import Served, prepared, served

BUY: dict[str, Any] = {"amount": 3, "at": 2_000_000, "stars": 4}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def goods(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(fitted, log=Log(SqliteJournal(tmp_path_factory.mktemp("log") / "events.sqlite"))) as running:
        yield running


def post(server: Served, *events: Any) -> Any:
    return server.call("POST", "/v1/events", events[0] if len(events) == 1 else list(events))


def recent(server: Served, buyer: str) -> list[int]:
    said = server.ask(buyer=buyer, amount=1, at=3_000_000)
    assert said.status == 200
    return said.json["answer"]["recent"]


def test_what_is_posted_is_in_the_past_of_the_very_next_ask(goods: Served) -> None:
    said = post(goods, {"id": "v1", "buyer": "v", "item": 3, **BUY})
    assert said.status == 201
    assert said.json == {"accepted": 1, "repeated": 0, "ids": ["v1"]}
    assert recent(goods, "v") == [3]
    said = post(goods, {"buyer": "v", "item": 4, **BUY, "at": 2_000_001}, {"id": "v1", "buyer": "v", "item": 3, **BUY})
    assert (said.status, said.json["accepted"], said.json["repeated"], said.json["ids"][1]) == (201, 1, 1, "v1")
    assert recent(goods, "v") == [3, 4]


def test_an_event_whose_time_is_null_happens_now(goods: Served) -> None:
    assert post(goods, {"buyer": "timeless", "item": 4, "amount": 1, "at": None}).status == 201
    assert goods.ask(buyer="timeless", amount=1).json["answer"]["recent"] == [4]


def test_the_same_event_again_is_said_to_be_there_and_counts_once(goods: Served) -> None:
    event = {"id": "w1", "buyer": "w", "item": 5, "amount": 1}
    assert post(goods, event).status == 201
    said = post(goods, event, event)
    assert (said.status, said.json) == (200, {"accepted": 0, "repeated": 2, "ids": ["w1", "w1"]})
    assert post(goods, {**event, "item": 5.0, "amount": "1"}).json["repeated"] == 1
    conflict = post(goods, {"buyer": "w", "item": 6, "amount": 1}, {**event, "item": 7})
    assert conflict.status == 409
    assert "'w1'" in conflict.json["detail"]
    assert goods.ask(buyer="w", amount=1).json["answer"]["recent"] == [5]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "no JSON"),
        (b"\xff\xfe", 400, "no JSON"),
        (b"[" * 100_000, 400, "nested too deeply"),
        (b"7", 422, "7 is no object"),
        (b"[]", 422, "no event"),
        (b'{"buyer": "z", "item": 1}', 422, "Purchase.amount is not given"),
        (b'[{"buyer": "z", "amount": 1}, {"buyer": "z", "amount": NaN}]', 400, "no JSON"),
        (b'{"buyer": "z", "amount": 1}\n{"buyer": "z", "amount": "x"}', 422, "event 1: Purchase.amount"),
        (b'{"buyer": "z", "amount": 1, "at": 32503680000}', 422, "from now"),
        (json.dumps([{"buyer": "z", "amount": 1}] * 1001).encode(), 413, "1,001 events"),
        (b'{"buyer": "z", "amount": 1, "search": "' + b"x" * (5 << 20) + b'"}', 413, "longer than"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_of_it_is_kept(goods: Served, body: bytes, status: int, says: str) -> None:
    said = goods.call("POST", "/v1/events", body)
    assert said.status == status
    assert said.headers["content-type"] == "application/problem+json"
    assert says in said.json["detail"]
    assert said.json["help"]
    assert recent(goods, "z") == []


def test_each_of_many_viewers_sees_what_was_acknowledged_to_them(goods: Served) -> None:
    wrong: list[Any] = []

    def shopping(buyer: str) -> None:
        for i in range(8):
            said = post(goods, {"buyer": buyer, "item": i, **BUY, "at": 2_000_000 + i})
            seen = recent(goods, buyer)
            if said.status != 201 or seen != list(range(i + 1))[-3:]:
                wrong.append((buyer, i, said.status, seen))

    threads = [threading.Thread(target=shopping, args=(f"many {n}",)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_was_acknowledged_is_seen_after_a_restart(fitted: Fitted, tmp_path: Path) -> None:
    with served(fitted, log=Log(SqliteJournal(tmp_path / "log"))) as first:
        for n in (1, 2):
            assert post(first, *[{"buyer": f"r{i}", "item": n, **BUY, "at": n} for i in range(1000)]).status == 201
    with served(prepared(tmp_path / "again"), log=Log(SqliteJournal(tmp_path / "log"))) as second:
        assert recent(second, "r0") == recent(second, "r999") == [1, 2]


def test_a_full_disk_is_said_and_asks_go_on(fitted: Fitted, tmp_path: Path) -> None:
    with served(fitted, log=Log(SqliteJournal(tmp_path / "log"))) as server:
        assert post(server, {"buyer": "f", "item": 1, **BUY}).status == 201
        with no_room(100_000):
            said = [post(server, {"buyer": f"f{i}", "item": 2, "search": "x" * 9_000, **BUY}) for i in range(20)]
            assert {each.status for each in said} == {201, 503}
            assert said[-1].headers["retry-after"] == "1"
            assert "nothing of this request is acknowledged" in said[-1].json["detail"]
            assert recent(server, "f") == [1]
        assert post(server, {"buyer": "f", "item": 3, **BUY, "at": 2_000_001}).status == 201
        assert recent(server, "f") == [1, 3]
        for i, each in enumerate(said):
            assert recent(server, f"f{i}") == ([2] if each.status == 201 else [])


@contextlib.contextmanager
def no_room(size: int) -> Generator[None]:
    """No file may become longer than this, for this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_while_postgres_is_away_asks_are_answered_and_no_event_is_acknowledged(
    fitted: Fitted, database: Database
) -> None:
    with served(fitted, log=Log(PostgresJournal(database.url, "away"))) as server:
        assert post(server, {"id": "1", "buyer": "p", "item": 1, **BUY}).status == 201
        assert recent(server, "p") == [1]
        database.stop()
        try:
            said = post(server, {"id": "2", "buyer": "p", "item": 2, **BUY, "at": 2_000_001})
            assert (said.status, said.headers["retry-after"]) == (503, "1")
            assert recent(server, "p") == [1]
        finally:
            database.start()
        said = post(server, {"id": "2", "buyer": "p", "item": 2, **BUY, "at": 2_000_001})
        assert (said.status, said.json["accepted"]) == (201, 1)
        assert recent(server, "p") == [1, 2]


def test_a_server_that_starts_while_postgres_is_away_catches_up_when_it_is_back(
    fitted: Fitted, database: Database, tmp_path: Path
) -> None:
    with served(fitted, log=Log(PostgresJournal(database.url, "later"))) as server:
        assert post(server, {"buyer": "l", "item": 1, **BUY}).status == 201
    database.stop()
    try:
        late = contextlib.ExitStack()
        server = late.enter_context(served(prepared(tmp_path), log=Log(PostgresJournal(database.url, "later"))))
        assert recent(server, "l") == []
    finally:
        database.start()
    with late:
        for _ in range(1000):
            if recent(server, "l"):
                break
        assert recent(server, "l") == [1]


def test_two_processes_on_one_postgres_see_each_others_events(
    fitted: Fitted, database: Database, tmp_path: Path
) -> None:
    one, other = (Log(PostgresJournal(database.url, "shared")) for _ in range(2))
    with served(fitted, log=one) as first, served(prepared(tmp_path), log=other) as second:
        assert post(first, {"buyer": "s", "item": 1, **BUY}).status == 201
        for _ in range(500):
            if recent(second, "s"):
                break
        assert recent(second, "s") == [1]
        assert post(second, {"buyer": "s", "item": 2, **BUY, "at": 2_000_001}).status == 201
        assert recent(second, "s") == [1, 2]


def test_a_server_without_a_log_takes_no_events(fitted: Fitted) -> None:
    with served(fitted) as server:
        assert post(server, {"buyer": "p", "item": 1, **BUY}).status == 404
        assert "/v1/events" not in server.call("GET", "/openapi.json").json["paths"]
