"""A shop behind a real server on a real port, for tests that speak HTTP to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

import motet as mt
from motet.fitted import Fitted, published
from motet.graph import Graph
from motet.serve.app import application
from motet.serve.engine import Limits
from motet.serve.gate import Gate
from motet.serve.keys import Keys
from motet.serve.listener import Listener, listening
from motet.serve.log import Log
from motet.serve.server import Beside, Server
from motet.serve.trace import Traces
from motet.serve.version import Version
from tests.shop import Item, Purchase, shop

NAME = "goods"
seen = mt.past(Purchase.item, by=Purchase.buyer)
popular = mt.Popular()(Purchase.item)
found = mt.retrieve(Item, k=5, by=[mt.ALS()(seen, Item), mt.BM25()(Item.name, Purchase.search)])
chosen = found.otherwise(popular)
goods = Graph(top=chosen.top(3), recent=mt.past(Purchase.item, by=Purchase.buyer, last=3))


@dataclass(frozen=True)
class Said:
    """One HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    """A server that runs. fitted: what it answers from."""

    server: Server
    fitted: Fitted
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Said:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        data = body if isinstance(body, (bytes, str)) or body is None else json.dumps(body)
        connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        said = Said(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        connection.close()
        return said

    def ask(self, headers: dict[str, str] | None = None, **fields: Any) -> Said:
        return self.call("POST", "/v1/ask", fields, headers)


def prepared(folder: Path, graph: Graph = goods, data: mt.Data | None = None) -> Fitted:
    """The graph fitted on the shop and published in a store of its own."""
    graph.fit(data or shop(), store=folder, quiet=True).prepare(name=NAME)
    return published(graph, name=NAME, store=folder, quiet=True)


@contextlib.contextmanager
def served(
    fitted: Fitted, limits: Limits | None = None, log: Log | None = None, beside: Beside | None = None
) -> Generator[Served]:
    """Serves from a thread until the block ends; then waits until the server has stopped by itself."""
    server = Server(NAME, Version(fitted, fitted.version or 1), limits or Limits(), beside or Beside(), log=log)
    config = uvicorn.Config(application(server), log_level="warning", lifespan="on", timeout_graceful_shutdown=5)
    running = uvicorn.Server(config)
    with _in_a_thread(running, running.run, lambda: server.ready) as port:
        yield Served(server, fitted, port)


@contextlib.contextmanager
def gated(
    fitted: Fitted,
    keys: Keys | None = None,
    traces: Traces | None = None,
    limits: Limits | None = None,
    log: Log | None = None,
) -> Generator[Served]:
    """A server as `motet serve` runs it, in a thread."""
    server = Server(NAME, Version(fitted, 1), limits or Limits(), log=log, traces=traces)
    running = Listener(Gate(application(server), server, keys, traces), server)
    with _in_a_thread(running, super(Listener, running).run, lambda: running.started) as port:
        yield Served(server, fitted, port)


@contextlib.contextmanager
def _in_a_thread(running: uvicorn.Server, run: Callable[[Any], None], ready: Callable[[], bool]) -> Generator[int]:
    """The port that it listens on, while the block lasts."""
    sock = listening("127.0.0.1", 0)
    thread = threading.Thread(target=run, args=([sock],))
    thread.start()
    try:
        while not ready() and thread.is_alive():
            time.sleep(0.01)
        yield sock.getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(20)
        sock.close()
        assert not thread.is_alive()
