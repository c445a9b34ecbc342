"""The graph's own endpoint, spoken to over a real connection."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import motet as mt
from motet.batch import Array
from motet.serve.engine import Limits
from tests.serve.served import Served, prepared, served
from tests.shop import Purchase


@pytest.fixture(scope="module")
def shop_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(prepared(tmp_path_factory.mktemp("store"))) as running:
        yield running


def test_an_ask_gets_what_the_fitted_graph_answers(shop_server: Served) -> None:
    fields: dict[str, Any] = {"buyer": "b3", "amount": 3.0, "search": "tea", "at": 2_000_000}
    said = shop_server.ask(**fields)
    assert said.status == 200
    assert said.json["answer"] == json.loads(json.dumps(shop_server.fitted.ask(**fields)))
    assert said.json["version"] == 1


def test_an_ask_whose_time_is_null_is_one_of_now(shop_server: Served) -> None:
    said = shop_server.ask(buyer="b3", amount=3.0, at=None)
    assert said.status == 200
    assert said.json["answer"] == shop_server.ask(buyer="b3", amount=3.0).json["answer"]


def test_a_buyer_nobody_knows_is_answered_by_what_is_popular(shop_server: Served) -> None:
    said = shop_server.ask(buyer="new", amount=3.0)
    assert said.status == 200
    assert len(said.json["answer"]["top"]) == 3
    assert said.json["answered_by"] == {"chosen": "popular"}
    assert shop_server.ask(buyer="b3", amount=3.0).json["answered_by"] == {"chosen": "found"}


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b'{"buyer": "b3", ', 400, "no JSON"),
        (b'{"buyer": "b3", "amount": NaN}', 400, "no JSON"),
        (b"", 400, "it is empty"),
        (b"\xff\xfe", 400, "byte 0 (0xff) is no UTF-8"),
        (b'{"buyer": "b3", "amount": 3, "search": "caf\xe9"}', 400, "byte 43 (0xe9) is no UTF-8"),
        (rb'{"buyer": "b3", "amount": 3, "search": "\ud83d"}', 400, "it holds half a character"),
        (rb'{"search": "\ud83d, and so on", "buyer": "b3", "amount": 3}', 400, "it holds half a character"),
        (rb'{"buyer": "b3", "amount": 3, "search": "\udc00"}', 400, "it holds half a character"),
        (rb'{"buyer": "b3", "amount": 3, "search": "\ud83d', 400, "Input data was truncated"),
        (rb'{"buyer": "b3", "amount": 3, "search": "\\ud83d in', 400, "Input data was truncated"),
        (b"[" * 100_000, 400, "nested too deeply"),
        *((b'{"buyer": "b3", "amount": ' + b"[" * n + b"]" * n + b"}", 4, "") for n in range(900, 1_000, 7)),
        (json.dumps({str(i): 0 for i in range(300_000)}).encode(), 422, "300,000 fields are given"),
        (b"[]", 400, "no JSON object"),
        (b'{"buyer": "b3"}', 422, "Purchase.amount is not given"),
        (b'{"buyer": "b3", "amount": "much"}', 422, "not a number"),
        (b'{"buyer": {"deep": 1}, "amount": 3}', 422, "Purchase.buyer"),
        (b'{"buyer": "b3", "amount": 3, "colour": 1}', 422, "no field 'colour'"),
        (b'{"buyer": "b3", "amount": 3, "item": 3}', 422, "outcome"),
        (b'{"buyer": "b3", "amount": 3, "search": "' + b"x" * (5 << 20) + b'"}', 413, "longer than"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(shop_server: Served, body: bytes, status: int, says: str) -> None:
    said = shop_server.call("POST", "/v1/ask", body)
    assert said.status == status or said.status // 100 == status
    assert said.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = said.json
    assert says in problem["detail"]
    assert problem["help"]


def test_a_wrong_deadline_is_refused_and_a_short_one_answered_in_time(shop_server: Served) -> None:
    assert shop_server.ask({"Request-Timeout": "soon"}, buyer="b3", amount=3).status == 400
    assert shop_server.ask({"Request-Timeout": "0.5"}, buyer="b3", amount=3).status == 200


def test_what_is_asked_for_as_events_comes_as_events(shop_server: Served) -> None:
    fields = {"buyer": "b3", "amount": 3.0, "at": 2_000_000}
    said = shop_server.call("POST", "/v1/ask", fields, {"Accept": "text/event-stream"})
    names = [line for line in said.body.decode().splitlines() if line.startswith("event: ")]
    assert names == ["event: answer", "event: done"]


def test_what_goes_wrong_before_the_first_event_has_a_status_of_its_own(shop_server: Served) -> None:
    events = {"Accept": "text/event-stream"}
    wrong = shop_server.call("POST", "/v1/ask", {"buyer": "b3"}, events)
    assert wrong.status == 422
    assert wrong.json["detail"].startswith("Purchase.amount is not given")
    late = shop_server.call("POST", "/v1/ask", {"buyer": "b3", "amount": 3.0}, events | {"Request-Timeout": "1e-9"})
    assert late.status == 504


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_a_failure_of_the_server_is_logged_and_not_told(
    shop_server: Served, accept: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*given: Any, **named: Any) -> None:
        raise ValueError("thirteen")

    monkeypatch.setattr(shop_server.server.engine, "ask", broken)
    said = shop_server.ask({"Accept": accept}, buyer="b3", amount=3.0)
    assert b"the server failed; its log says why" in said.body
    assert b"thirteen" not in said.body
    (record,) = [record for record in caplog.records if record.name == "motet.serve"]
    assert record.getMessage() == "POST /v1/ask failed"
    assert "thirteen" in str(record.exc_info)


def test_an_ask_whose_client_leaves_is_not_computed(tmp_path: Path) -> None:
    computed, gate = list[float](), threading.Event()

    def work(amount: Array) -> Array:
        computed.extend(amount.tolist())
        if 1.0 in amount:
            gate.wait(20)
        return amount

    gate.set()
    graph = mt.Graph(value=mt.function(mt.Number)(work)(Purchase.amount))
    with served(prepared(tmp_path, graph), Limits(threads=1)) as running, ThreadPoolExecutor(2) as clients:
        computed.clear()
        gate.clear()
        first = clients.submit(running.ask, buyer="b1", amount=1.0)
        wait_for(lambda: computed == [1.0])
        leaving = http.client.HTTPConnection("127.0.0.1", running.port)
        leaving.request("POST", "/v1/ask", json.dumps({"buyer": "b2", "amount": 2.0}))
        wait_for(lambda: len(running.server.engine.waiting) == 1)
        leaving.close()
        wait_for(lambda: not running.server.engine.waiting)
        last = clients.submit(running.ask, buyer="b3", amount=3.0)
        wait_for(lambda: len(running.server.engine.waiting) == 1)
        gate.set()
        assert (first.result().status, last.result().status) == (200, 200)
    assert computed == [1.0, 3.0]


def wait_for(there: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not there():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_health_says_live_and_ready_and_nothing_else_is_there(shop_server: Served) -> None:
    assert shop_server.call("GET", "/health/live").status == 200
    assert shop_server.call("GET", "/health/ready").json == {"status": "ready"}
    assert shop_server.call("GET", "/nothing").status == 404
    refused = shop_server.call("GET", "/v1/ask")
    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    assert (refused.json["detail"], refused.json["help"]) == ("GET is not taken here", "this path takes POST")


@pytest.mark.parametrize("path", ["/v1/ask", "/v1/chat/completions", "/v2/models/goods/infer"])
def test_a_packed_body_is_refused_as_such(shop_server: Served, path: str) -> None:
    packed = gzip.compress(json.dumps({"buyer": "b3", "amount": 3}).encode())
    said = shop_server.call("POST", path, packed, {"Content-Encoding": "gzip"})
    assert (said.status, said.headers["accept-encoding"]) == (415, "identity")
    assert b"Content-Encoding: gzip is not taken" in said.body
    plain = {"Content-Encoding": "Identity"}
    assert shop_server.call("POST", "/v1/ask", {"buyer": "b3", "amount": 3}, plain).status == 200
