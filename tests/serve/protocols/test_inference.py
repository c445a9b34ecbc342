"""The official Triton client calls the graph, and each of its models, with tensors."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

import motet as mt
from motet.batch import Array
from motet.graph import Graph
from motet.run.runner import Local
from motet.serve.engine import Limits
from tests.serve.protocols.test_own import wait_for
from tests.serve.served import Said, Served, chosen, prepared, served
from tests.shop import Item, Purchase

tfidf = mt.TFIDF(dim=4)
words = tfidf(Item.name)
near = mt.retrieve(Item, k=3, by=words @ tfidf(Purchase.search, learnt_from=Item.name))


@mt.function(mt.Number)
def length(search: pa.Array, amount: Any) -> list[float]:
    return [len(text) * each for text, each in zip(search.to_pylist(), amount, strict=True)]


scaled = length(Purchase.search, Purchase.amount)
recent = mt.past(Purchase.item, by=Purchase.buyer, last=3)
goods = Graph(top=chosen.top(3), near=near, scaled=scaled, recent=recent, echo=Purchase.search + "!")


@pytest.fixture(scope="module")
def shop_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(prepared(tmp_path_factory.mktemp("store"), goods)) as running:
        yield running


@pytest.fixture
def client(shop_server: Served) -> Iterator[triton.InferenceServerClient]:
    made = triton.InferenceServerClient(f"127.0.0.1:{shop_server.port}")
    yield made
    made.close()


def texts(name: str, *values: str, binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, [len(values)], "BYTES")
    made.set_data_from_numpy(np.array(values, object), binary_data=binary)
    return made


def numbers(name: str, *values: float, binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, [len(values)], "FP64")
    made.set_data_from_numpy(np.array(values, np.float64), binary_data=binary)
    return made


def test_health_and_what_there_is(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("goods")
    assert client.is_model_ready("goods", "1")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    with pytest.raises(InferenceServerException, match="did you mean 'goods'"):
        client.get_model_metadata("good")
    with pytest.raises(InferenceServerException, match="no version"):
        client.get_model_metadata("goods", "7")


def test_the_graph_takes_the_event_and_gives_its_outputs(client: triton.InferenceServerClient) -> None:
    card = client.get_model_metadata("goods")
    inputs = {each["name"]: (each["datatype"], each["shape"]) for each in card["inputs"]}
    assert inputs == {
        "buyer": ("BYTES", [-1]),
        "at": ("FP64", [-1]),
        "search": ("BYTES", [-1]),
        "amount": ("FP64", [-1]),
    }
    outputs = {each["name"]: (each["datatype"], each["shape"]) for each in card["outputs"]}
    assert outputs["top"] == ("INT64", [-1, -1])
    assert outputs["top.scores"] == ("FP32", [-1, -1])
    assert outputs["recent"] == ("INT64", [-1, -1])
    assert outputs["scaled"] == ("FP64", [-1])
    assert outputs["echo"] == ("BYTES", [-1])


@pytest.mark.parametrize("binary", [True, False])
def test_many_asks_in_one_call(client: triton.InferenceServerClient, shop_server: Served, binary: bool) -> None:
    asks = [("b3", "tea", 3.0), ("new", "", 2.0), ("b4", "cup ☕", 1.0)]
    given = [
        texts("buyer", *(buyer for buyer, _, _ in asks), binary=binary),
        texts("search", *(search for _, search, _ in asks), binary=binary),
        numbers("amount", *(amount for _, _, amount in asks), binary=binary),
        numbers("at", *[2_000_000.0] * 3, binary=binary),
    ]
    names = ("top", "top.scores", "echo", "scaled", "recent")
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
    made = client.infer("goods", given, outputs=wanted, request_id="mine")
    assert made.get_response()["id"] == "mine"
    for row, (buyer, search, amount) in enumerate(asks):
        answer = shop_server.ask(buyer=buyer, search=search, amount=amount, at=2_000_000).json["answer"]
        assert _of(made, "top")[row].tolist() == [item["item_id"] for item in answer["top"]]
        assert _of(made, "top.scores")[row] == pytest.approx([item["score"] for item in answer["top"]], abs=1e-6)
        echo = _of(made, "echo")[row]
        assert (echo.decode() if isinstance(echo, bytes) else echo) == answer["echo"] == f"{search}!"
        assert _of(made, "scaled")[row] == answer["scaled"]
        there = len(answer["recent"])
        assert _of(made, "recent")[row].tolist() == [*answer["recent"], *[-1] * (3 - there)]


def _of(made: triton.InferResult, name: str) -> Any:
    found = made.as_numpy(name)
    assert found is not None
    return found


def rows(n: int, amount: Any = 3.0) -> dict[str, Any]:
    buyers = {"name": "buyer", "datatype": "BYTES", "shape": [n], "data": ["b3"] * n}
    return {"inputs": [buyers, {"name": "amount", "datatype": "FP64", "shape": [n], "data": [amount] * n}]}


def test_so_many_asks_in_one_call_and_no_more(shop_server: Served) -> None:
    said = shop_server.call("POST", "/v2/models/goods/infer", rows(1024))
    assert said.status == 400
    assert said.json["error"] == "1,024 rows are more asks than one call may have; send 1 to 256"
    made = shop_server.call("POST", "/v2/models/goods/infer", rows(256))
    assert made.status == 200
    assert made.json["outputs"][0]["shape"] == [256, 3]


def test_rows_that_the_queue_has_no_room_for_are_a_429_and_none_is_left_in_it(tmp_path: Path) -> None:
    computed, gate = list[float](), threading.Event()

    def work(amount: Array) -> Array:
        computed.extend(amount.tolist())
        gate.wait(20)
        return amount

    gate.set()
    slow = mt.Graph(value=mt.function(mt.Number)(work)(Purchase.amount))
    with served(prepared(tmp_path, slow), Limits(threads=1, waiting=8)) as running, ThreadPoolExecutor(8) as clients:
        computed.clear()
        gate.clear()
        first = clients.submit(running.ask, buyer="b1", amount=1.0)
        wait_for(lambda: computed == [1.0])
        others = [clients.submit(running.ask, buyer="b1", amount=2.0) for _ in range(7)]
        wait_for(lambda: len(running.server.engine.waiting) == 7)
        said = running.call("POST", "/v2/models/goods/infer", rows(2))
        assert said.status == 429
        assert "retry-after" in said.headers
        wait_for(lambda: len(running.server.engine.waiting) == 7)
        gate.set()
        assert {each.result().status for each in (first, *others)} == {200}
    assert computed == [1.0] + [2.0] * 7


def test_candidates_that_are_fewer_are_filled_up(client: triton.InferenceServerClient) -> None:
    made = client.infer("goods", [texts("buyer", "b3", "b3"), texts("search", "tea", ""), numbers("amount", 1, 1)])
    assert (_of(made, "near")[0] >= 0).all()
    assert _of(made, "near")[1].tolist() == [-1, -1, -1]
    assert np.isnan(_of(made, "near.scores")[1]).all()


def test_a_model_is_called_by_the_name_of_its_column(client: triton.InferenceServerClient, shop_server: Served) -> None:
    card = client.get_model_metadata("words")
    assert [(each["name"], each["datatype"]) for each in card["inputs"]] == [("text", "BYTES")]
    made = _of(client.infer("words", [texts("text", "tea number 3", "tea")]), "output")
    assert made.shape == (2, 4)
    fitted = shop_server.fitted
    assert made[0] == pytest.approx(fitted.live.shared(words)[3], abs=1e-6)
    doubled = client.infer("scaled", [texts("arg0", "abc", "d"), numbers("arg1", 2, 3)])
    assert _of(doubled, "output").tolist() == [6, 3]


def test_a_model_keeps_to_the_requests_time(shop_server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(Local, "apply", lambda *given: over.wait(10))
    said = shop_server.call("POST", "/v2/models/scaled/infer", RIGHT, {"Request-Timeout": "0.3"})
    over.set()
    assert said.status == 504
    assert "no answer by the deadline" in said.json["error"]


def test_what_reads_histories_or_candidates_is_not_listed(shop_server: Served) -> None:
    assert shop_server.call("GET", "/v2/models/recent").status == 404
    assert shop_server.call("GET", "/v2/models/chosen").status == 404


RIGHT: dict[str, Any] = {
    "inputs": [
        {"name": "arg0", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]},
        {"name": "arg1", "datatype": "FP64", "shape": [2], "data": [1, 2.5]},
    ]
}


def _with(place: int, **change: Any) -> dict[str, Any]:
    inputs = [dict(each) for each in RIGHT["inputs"]]
    inputs[place] = {name: value for name, value in {**inputs[place], **change}.items() if value is not None}
    return {**RIGHT, "inputs": inputs}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "no JSON object"),
        ({}, "inputs is no list"),
        ({"inputs": [3]}, "inputs is no list"),
        (_with(0, name="text"), "no input 'text'"),
        (_with(0, datatype="FP64"), "arg0' is BYTES"),
        (_with(0, shape=[2, 1]), "shape"),
        (_with(0, shape=[-2]), "shape"),
        (_with(0, shape=[True]), "shape"),
        (_with(0, shape=[3]), "2 values for the shape [3]"),
        (_with(0, shape=[10**12]), "rows"),
        (_with(0, shape=[0], data=[]), "rows"),
        (_with(0, data=[1, 2]), "holds '1'"),
        (_with(0, data=None), "no data"),
        (_with(1, data=["a", "b"]), "holds 'a'"),
        (_with(1, data=[10**400, 1]), "FP64"),
        (_with(1, shape=[1], data=[1]), "1, 2 rows"),
        (_with(1, data=None, parameters={"binary_data_size": 16}), "0 bytes are left"),
        (_with(1, parameters={"shared_memory_region": "x"}), "shared memory"),
        (_with(1, parameters=[]), "no object"),
        ({**RIGHT, "id": 3}, "id"),
        ({**RIGHT, "outputs": [{"name": "nothing"}]}, "no output 'nothing'"),
        ({**RIGHT, "outputs": [{"name": "output", "parameters": {"classification": 3}}]}, "classification"),
        ({"inputs": RIGHT["inputs"][:1]}, "'arg1' is not given"),
        ({"inputs": [*RIGHT["inputs"], RIGHT["inputs"][0]]}, "twice"),
    ],
)
def test_what_does_not_fit_is_a_400_in_a_sentence(shop_server: Served, body: Any, says: str) -> None:
    said = shop_server.call("POST", "/v2/models/scaled/infer", body)
    assert said.status == 400
    assert list(said.json) == ["error"]
    assert says in said.json["error"]


@pytest.mark.parametrize(
    ("raw", "size", "length"),
    [
        (b"\x01\x00\x00\x00a" * 2, 9, None),
        (b"\xff\xff\xff\xff", 4, None),
        (b"\x01\x00\x00\x00\xff" * 2, 10, None),
        (b"\x01\x00", 2, None),
        (b"", 0, "99999999"),
        (b"", 0, "-3"),
        (b"", 0, "x"),
    ],
)
def test_broken_bytes_are_a_400(shop_server: Served, raw: bytes, size: int, length: str | None) -> None:
    body = _with(0, data=None, parameters={"binary_data_size": size})
    front = json.dumps(body).encode()
    headers = {"Inference-Header-Content-Length": length or str(len(front))}
    said = shop_server.call("POST", "/v2/models/scaled/infer", front + raw, headers)
    assert said.status == 400
    assert said.json["error"]


def test_a_wrong_ask_is_a_400_and_an_unknown_path_a_404(
    client: triton.InferenceServerClient, shop_server: Served
) -> None:
    with pytest.raises(InferenceServerException, match="'amount' is not given"):
        client.infer("goods", [texts("buyer", "b3")])
    assert "GET /v2/models/NAME" in shop_server.call("GET", "/v2/nothing").json["error"]


@pytest.mark.parametrize("at", ["/v2/models/goods", "/v2/models/goods/versions/1"])
def test_what_a_model_has_not_is_said_with_what_it_has(shop_server: Served, at: str) -> None:
    refused = shop_server.call("GET", f"{at}/infer")
    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    assert refused.json["error"] == "GET is not taken here; this path takes POST"
    for what in ("config", "stats"):
        said = shop_server.call("GET", f"{at}/{what}")
        assert said.status == 404
        assert said.json["error"].startswith("/v2/models/goods has no")
        assert f"{what}'; GET /v2/models/goods, GET /v2/models/goods/ready, POST" in said.json["error"]


@mt.function(mt.Number)
def weight(vectors: Array) -> Array:
    return np.asarray(vectors, np.float32) @ np.ones(4, np.float32)


def test_a_vector_has_as_many_numbers_as_in_the_data(tmp_path: Path) -> None:
    heavy, sought = weight(words), weight(tfidf(Purchase.search, learnt_from=Item.name))
    seen = mt.past(Purchase.item, by=Purchase.buyer)
    graph = Graph(near=near, top=mt.retrieve(Item, k=3, by=heavy, exclude=seen), sought=sought)
    with served(prepared(tmp_path, graph)) as running, warnings.catch_warnings():
        warnings.simplefilter("error")

        def call(name: str, *rows: list[float]) -> Said:
            tensor = {"name": "arg0", "datatype": "FP32", "shape": [len(rows), len(rows[0])], "data": rows}
            return running.call("POST", f"/v2/models/{name}/infer", {"inputs": [tensor]})

        assert running.call("GET", "/v2/models/heavy").json["inputs"][0]["shape"] == [-1, 4]
        assert call("heavy", [1, 2, 3, 4]).json["outputs"][0]["data"] == [10]
        assert call("heavy", [3e38] * 4).status == 200
        wrong = call("heavy", [1, 2])
        assert (wrong.status, "has the shape [-1, 4], -1 being any, not [1, 2]" in wrong.json["error"]) == (400, True)
        wrong = call("sought", [1, 2])
        assert wrong.status == 400
        assert wrong.json["error"].startswith("'sought' cannot be computed from these tensors; /v2/models/sought tells")


def test_a_name_may_have_any_letters(shop_server: Served) -> None:
    said = shop_server.call("POST", "/v2/models/a%0Ab%2Fc%00/infer", {})
    assert said.status == 404
    assert "no model" in said.json["error"]
