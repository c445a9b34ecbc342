"""Models that another server answers for: Motet's own, one that is made here to misbehave, and MLServer."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import motet as mt
from motet.batch import Batch
from motet.errors import GraphError, RunError
from motet.graph import Graph
from motet.model import NOTHING
from tests.serve.served import Served, prepared, served
from tests.shop import Item, Purchase, asked, shop


@mt.function(mt.Number)
def doubled(amount: Any) -> Any:
    return np.where(np.isnan(amount), -1, amount * 2)


@mt.function(mt.Vector)
def powers(price: Any) -> Any:
    return np.stack([price, price**2], axis=1)


@mt.function(mt.Category)
def loud(search: pa.Array) -> Any:
    return [(text or "nothing").upper() for text in search.to_pylist()]


behind = Graph(twice=doubled(Purchase.amount), said=loud(Purchase.search), both=powers(Purchase.amount))


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(prepared(tmp_path_factory.mktemp("store"), behind)) as running:
        yield running


def table(**columns: Any) -> Batch:
    return Batch(columns, rows=len(next(iter(columns.values()))))


def texts(*values: str | None) -> pa.Array:
    return pa.array(values, pa.large_string())


def test_a_model_there_answers_as_one_here(there: Served) -> None:
    remote = mt.Endpoint(there.url, "twice")(arg0=Purchase.amount)
    assert np.array_equal(asked(remote, shop()), asked(doubled(Purchase.amount), shop()))


def test_texts_become_categories_and_numbers_vectors(there: Served, tmp_path: Path) -> None:
    said = mt.Endpoint(there.url, "said", kind=mt.Category)(arg0=Purchase.search)
    both = mt.Endpoint(there.url, "both", kind=mt.Vector)(arg0=Purchase.amount)
    fitted = Graph(said=said, both=both).fit(shop(), store=tmp_path, quiet=True)
    assert fitted.ask(buyer="b1", amount=3, search="été") == {"said": "ÉTÉ", "both": [3, 9]}


def test_the_graph_there_ranks_candidates_here(there: Served, tmp_path: Path) -> None:
    found = mt.retrieve(Item, k=5, by=[mt.Popular()(Purchase.item)], exclude=mt.past(Purchase.item, by=Purchase.buyer))
    best = mt.Endpoint(there.url, "twice")(found, arg0=Item.price)
    fitted = Graph(best=best).fit(shop(events=60), store=tmp_path, quiet=True)
    listed = fitted.ask(buyer="b3", amount=1)["best"]
    assert [each["score"] for each in listed] == sorted((2.0 * (each["item_id"] + 1) for each in listed), reverse=True)


def test_rows_go_in_several_calls(there: Served) -> None:
    model = mt.Endpoint(there.url, "twice", rows=3)
    assert model.apply(NOTHING, table(arg0=np.arange(10.0))).tolist() == (2 * np.arange(10.0)).tolist()
    assert model.apply(NOTHING, Batch({"arg0": np.zeros(0)}, rows=0)).tolist() == []


def test_a_missing_number_reaches_a_server_that_reads_bytes(there: Served) -> None:
    assert mt.Endpoint(there.url, "twice").apply(NOTHING, table(arg0=np.array([1, np.nan]))).tolist() == [2, -1]


@pytest.mark.parametrize(
    ("model", "given", "says"),
    [
        (mt.Endpoint("http://there", "twice"), {"amount": np.ones(2)}, "no input 'amount'"),
        (mt.Endpoint("http://there", "twice"), {"arg0": texts("a")}, r"reads arg0: FP64 \[-1\], and is given texts"),
        (
            mt.Endpoint("http://there", "twice"),
            {"arg0": np.ones((2, 3))},
            r"reads arg0: FP64 \[-1\], and is given 3 a row",
        ),
        (
            mt.Endpoint("http://there", "said"),
            {"arg0": texts("a")},
            "makes a Number, and the model gives output: BYTES",
        ),
        (mt.Endpoint("http://there", "twice", kind=mt.Text), {"arg0": np.ones(2)}, "makes a Text, and the model gives"),
        (mt.Endpoint("http://there", "twice", output="score"), {"arg0": np.ones(2)}, "no output 'score'"),
    ],
)
def test_what_does_not_fit_its_description_is_said(there: Served, model: Any, given: Any, says: str) -> None:
    here = dataclasses.replace(model, url=there.url)
    with pytest.raises(GraphError, match=says) as refused:
        here.apply(NOTHING, table(**given))
    assert refused.value.help


def test_a_model_that_is_not_there_is_a_run_error(there: Served) -> None:
    with pytest.raises(RunError, match=r"HTTP 404.*did you mean 'twice'"):
        mt.Endpoint(there.url, "twise").apply(NOTHING, table(arg0=np.ones(2)))


Answers = Callable[[Any, str, bytes], tuple[int, Any]]
CARD = {
    "inputs": [{"name": "x", "datatype": "INT32", "shape": [-1, 1]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
}


@contextlib.contextmanager
def answering(answers: Answers, card: Any = CARD) -> Generator[str]:
    """A server that speaks as it is told. It reads JSON only."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply(200, {"extensions": []} if self.path == "/v2" else card)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with contextlib.suppress(OSError):
                self._reply(*answers(self, self.path, body))

        def _reply(self, status: int, said: Any) -> None:
            raw = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def halved(handler: Any, path: str, body: bytes) -> tuple[int, Any]:
    given = json.loads(body)["inputs"][0]
    data = [value / 2 for value in given["data"]]
    return 200, {"outputs": [{"name": "y", "datatype": "FP32", "shape": given["shape"], "data": data}]}


def test_a_row_that_the_input_cannot_hold_is_missing_and_counted() -> None:
    notes: list[str] = []
    with answering(halved) as url:
        batch = Batch({"x": np.array([4, np.nan, 6])}, rows=3, note=notes.append)
        made = mt.Endpoint(url, "half").apply(NOTHING, batch)
        alone = mt.Endpoint(url, "half").apply(NOTHING, table(x=np.array([np.nan])))
    assert made[[0, 2]].tolist() == [2, 3]
    assert np.isnan(made[1])
    assert np.isnan(alone).tolist() == [True]
    assert notes == ["an input of half is missing, and cannot be sent as such"]


def test_a_number_that_fails_somewhere_is_answered_otherwise(tmp_path: Path) -> None:
    """Away, late, wrong: each within its time, and the reason is counted."""

    def slow(handler: Any, path: str, body: bytes) -> tuple[int, Any]:
        time.sleep(3)
        return halved(handler, path, body)

    def trickling(handler: Any, path: str, body: bytes) -> tuple[int, Any]:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        for _ in range(40):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.1)
        raise OSError

    ways: dict[str, Answers] = {
        "it is late": slow,
        "is late": trickling,
        "HTTP 503: no room": lambda handler, path, body: (503, {"error": "no room"}),
        "HTTP 500: <html>": lambda handler, path, body: (500, b"<html>"),
        "no JSON object": lambda handler, path, body: (200, b"hello"),
        "has no outputs": lambda handler, path, body: (200, {}),
        "cannot be read": lambda handler, path, body: (200, {"outputs": [{"name": "y"}]}),
        "answered .* for 1 rows": lambda handler, path, body: (
            200,
            {"outputs": [{"name": "y", "datatype": "FP32", "shape": [2], "data": [1, 2]}]},
        ),
    }
    for says, way in ways.items():
        with answering(way) as url:
            half = mt.Endpoint(url, "half", seconds=1)
            began = time.perf_counter()
            with pytest.raises(RunError, match=says):
                half.apply(NOTHING, table(x=np.ones(1)))
            assert time.perf_counter() - began < 2.5
            graph = Graph(half=half(x=Purchase.amount).otherwise(Purchase.amount * 0 + 7))
            assert graph.fit(shop(), store=tmp_path, quiet=True).ask(buyer="b1", amount=3) == {"half": 7}


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        ({"name": "x", "shape": [-1]}, "KeyError: 'datatype'"),
        ({"name": "x", "datatype": "FP32", "shape": ["n"]}, "ValueError: .*'n'"),
        ({"name": "x", "datatype": "FP32", "shape": 3}, "TypeError"),
        ({"name": "x", "datatype": "FP32", "shape": [float("inf")]}, "OverflowError"),
        ("x", "TypeError"),
    ],
)
def test_a_description_that_cannot_be_read_is_answered_otherwise(tmp_path: Path, tensor: Any, says: str) -> None:
    with answering(halved, {"inputs": [tensor]}) as url:
        half = mt.Endpoint(url, "half")
        with pytest.raises(RunError, match=rf"its description cannot be read: {says}(.|\n)*help: .*curl"):
            half.apply(NOTHING, table(x=np.ones(1)))
        graph = Graph(half=half(x=Purchase.amount).otherwise(Purchase.amount * 0 + 7))
        assert graph.fit(shop(), store=tmp_path, quiet=True).ask(buyer="b1", amount=3) == {"half": 7}


def test_who_is_away_is_a_run_error_with_what_to_try() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(RunError, match=r"ConnectionRefusedError(.|\n)*curl http"):
        mt.Endpoint(url, "half").apply(NOTHING, table(x=np.ones(1)))


def test_a_connection_that_was_closed_meanwhile_is_made_anew() -> None:
    asked: list[int] = []

    def noted(closes: bool) -> Answers:
        def answer(handler: Any, path: str, body: bytes) -> tuple[int, Any]:
            asked.append(handler.client_address[1])
            handler.close_connection = closes  # without saying so: the client finds out when it asks again
            return halved(handler, path, body)

        return answer

    for closes in (False, True):
        asked.clear()
        with answering(noted(closes)) as url:
            for _ in range(3):
                assert mt.Endpoint(url, "half").apply(NOTHING, table(x=np.full(1, 4.0))).tolist() == [2]
        assert len(asked) == 3
        assert len(set(asked)) == (3 if closes else 1)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: mt.Endpoint("fraud:8080", "m"), "no http"),
        (lambda: mt.Endpoint("http://me:secret@fraud", "m"), "holds no password"),
        (lambda: mt.Endpoint("http://fraud", ""), "has a name"),
        (lambda: mt.Endpoint("http://fraud", "m", kind=mt.Tags), "no endpoint makes a Tags"),
        (lambda: mt.Endpoint("http://fraud", "m", seconds=0), "within 0 seconds"),
        (lambda: mt.Endpoint("http://fraud", "m", rows=0), "rows"),
        (lambda: mt.Endpoint("http://fraud", "m")(), "given no input"),
        (lambda: mt.Endpoint("http://fraud", "m")(x=PAST), "is a Sequence"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_built(build: Any, says: str) -> None:
    with pytest.raises(GraphError, match=says) as refused:
        build()
    assert refused.value.help


PAST: Any = mt.past(Purchase.amount, by=Purchase.buyer)


def test_identity_follows_name_and_revision_but_no_address() -> None:
    same = mt.Endpoint("http://a", "m").identity()
    assert mt.Endpoint("http://b/prefix", "m", seconds=9, rows=4).identity() == same
    assert mt.Endpoint("http://a", "m", revision="2").identity() != same
    assert mt.Endpoint("http://a", "n").identity() != same


RUNTIME = """
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

class Sum(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        given = {each.name: NumpyCodec.decode_input(each) for each in payload.inputs}
        made = given["vector"].sum(axis=1) + given["amount"]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("total", made)])
"""


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLServer, from an environment of its own: MOTET_MLSERVER names its `mlserver` command."""
    command = os.environ.get("MOTET_MLSERVER", "")
    if not command:
        pytest.skip("needs MLServer in an environment of its own: MOTET_MLSERVER=/path/to/bin/mlserver")
    folder = tmp_path_factory.mktemp("mlserver")
    ports: list[int] = []
    for _ in range(3):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    (folder / "runtime.py").write_text(RUNTIME)
    tensor = {"datatype": "FP64", "shape": [-1]}
    inputs = [tensor | {"name": "amount"}, {"name": "vector", "datatype": "FP32", "shape": [-1, 2]}]
    model = {"name": "sum", "implementation": "runtime.Sum", "inputs": inputs, "outputs": [tensor | {"name": "total"}]}
    (folder / "model-settings.json").write_text(json.dumps(model))
    settings = {"host": "127.0.0.1", "http_port": ports[0], "grpc_port": ports[1], "metrics_port": ports[2]}
    (folder / "settings.json").write_text(json.dumps(settings | {"parallel_workers": 0}))
    with (folder / "log").open("w") as log:
        running = subprocess.Popen([command, "start", str(folder)], stdout=log, stderr=log, cwd=folder)
    try:
        for _ in range(600):
            time.sleep(0.2)
            assert running.poll() is None, (folder / "log").read_text()
            connection = http.client.HTTPConnection("127.0.0.1", ports[0], timeout=5)
            with contextlib.suppress(OSError), contextlib.closing(connection):
                connection.request("GET", "/v2/models/sum/ready")
                if connection.getresponse().status == 200:
                    break
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        running.terminate()
        running.wait(30)


def test_mlserver_answers(mlserver: str, tmp_path: Path) -> None:
    total = mt.Endpoint(mlserver, "sum", seconds=10)(amount=Purchase.amount, vector=powers(Purchase.amount))
    fitted = Graph(total=total).fit(shop(), store=tmp_path, quiet=True)
    assert fitted.ask(buyer="b1", amount=3) == {"total": 3 + 3 + 9}
    with pytest.raises(GraphError, match="no input 'sum'"):
        mt.Endpoint(mlserver, "sum").apply(NOTHING, table(sum=np.ones(1)))
