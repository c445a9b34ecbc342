"""Pictures from a small server that speaks the protocol of images."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import motet as mt
from motet.errors import GraphError, RunError
from motet.graph import Graph
from tests.llm.test_openai import free_port
from tests.shop import Item, Purchase, shop

PICTURE = b"\x89PNG a picture"
ANSWER = "data:image/png;base64," + base64.b64encode(PICTURE).decode()


def drawing(request: Any) -> tuple[int, Any]:
    return 200, {"created": 1, "data": [{"b64_json": base64.b64encode(PICTURE).decode()}]}


@contextlib.contextmanager
def serving(answer: Callable[[Any], tuple[int, Any]] = drawing) -> Generator[tuple[str, list[Any]]]:
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert self.path == "/v1/images/generations"
            asked.append(request)
            status, said = answer(request)
            raw = said if isinstance(said, bytes) else json.dumps(said).encode()
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def draw(url: str, **settings: Any) -> mt.Draw:
    return mt.Draw(mt.LLM("tiny", url=url, retries=0), "A poster for {search}", **settings)


def ask(url: str, store: Path, seconds: float = 5, **fields: Any) -> Any:
    late = draw(url)(search=Purchase.search).within(seconds=seconds, otherwise=None)
    fitted = Graph(poster=late).fit(shop(events=20), store=store, quiet=True)
    return fitted.ask(**{"buyer": "b1", "amount": 1, "search": "the sea", **fields})["poster"]


def posters(url: str) -> mt.Image:
    return mt.Draw(mt.LLM("tiny", url=url), "A poster for {name}").each(name=Item.name)


def test_a_late_picture_is_answered_as_a_url(tmp_path: Path) -> None:
    with serving() as (url, asked):
        assert ask(url, tmp_path) == ANSWER
    assert asked == [
        {"model": "tiny", "prompt": "A poster for the sea", "n": 1, "size": "512x512", "response_format": "b64_json"}
    ]


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    with serving() as (url, asked):
        assert ask(url, tmp_path, search="") is None
    assert asked == []


def test_what_is_late_refused_or_broken_is_missing(tmp_path: Path) -> None:
    def slow(request: Any) -> tuple[int, Any]:
        time.sleep(1)
        return drawing(request)

    ways = [
        slow,
        lambda request: (403, {"error": "no"}),
        lambda request: (200, b"{"),
        lambda request: (200, {"data": []}),
    ]
    for way in ways:
        with serving(way) as (url, _):
            assert ask(url, tmp_path, seconds=0.5) is None


def test_an_endpoint_that_knows_no_format_is_asked_without() -> None:
    def newer(request: Any) -> tuple[int, Any]:
        return (400, {"error": {"message": "unknown"}}) if "response_format" in request else drawing(request)

    with serving(newer) as (url, asked):
        llm = mt.LLM("tiny", url=url)
        made = mt.Draw(llm, "{a}").apply(mt.State(), batch("x"))
        assert made.to_pylist() == [PICTURE]
    assert len(asked) == 2


def batch(*texts: str) -> Any:
    import pyarrow as pa

    from motet.batch import Batch

    return Batch({"a": pa.array(texts, pa.large_string())}, rows=len(texts))


def test_another_picture_stands_in(tmp_path: Path) -> None:
    class Film(mt.Entity):
        film_id: mt.Key
        poster: mt.Image

    class Visit(mt.Event):
        film: Film
        at: mt.Time
        query: mt.Text

    rows: Any = {Film: [{"film_id": 1, "poster": PICTURE}], Visit: [{"film": 1, "at": 1, "query": "a"}]}
    made = mt.Draw(mt.LLM("tiny", url=f"http://127.0.0.1:{free_port()}/v1"), "{query}")(query=Visit.query)
    graph = Graph(poster=made.within(seconds=2, otherwise=Visit.film.poster))
    fitted = graph.fit(mt.Data(rows), store=tmp_path, quiet=True)
    assert fitted.ask(film=1, query="b") == {"poster": ANSWER}


def test_a_picture_per_item_is_drawn_once_and_kept(tmp_path: Path) -> None:
    with serving() as (url, asked):
        poster = posters(url)
        fitted = Graph(poster=poster).fit(shop(events=20), store=tmp_path, quiet=True)
        assert fitted.prepare().new == 12
        assert fitted.prepare().new == 0
    assert len(asked) == 12
    assert fitted.context(shop()).shared(poster).to_pylist() == [PICTURE] * 12


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_endpoint_that_refuses_whatever_it_is_asked_is_one_error_and_nothing_is_kept(
    tmp_path: Path, status: int
) -> None:
    denies = [True]

    def once_denying(request: Any) -> tuple[int, Any]:
        return (status, {"error": {"message": "no such model"}}) if denies[0] else drawing(request)

    with serving(once_denying) as (url, _):
        fitted = Graph(poster=posters(url)).fit(shop(events=20), store=tmp_path, quiet=True)
        with pytest.raises(RunError, match=rf"'tiny' at {url} does not answer: HTTP {status}: (.|\n)*curl"):
            fitted.prepare()
        denies[0] = False
        assert fitted.prepare().new == 12


@pytest.mark.parametrize("status", [401, 408, 429, 500, 502, 529])
def test_a_failure_that_may_pass_is_never_kept(tmp_path: Path, status: int) -> None:
    failing = [True]

    def once_failing(request: Any) -> tuple[int, Any]:
        fails = failing[0] and request["prompt"].endswith("3")
        return (status, {"error": {"message": "later"}}) if fails else drawing(request)

    with serving(once_failing) as (url, asked):
        fitted = Graph(poster=posters(url)).fit(shop(events=20), store=tmp_path, quiet=True)
        fitted.prepare()
        before, failing[0] = len(asked), False
        fitted.prepare()
        assert len(asked) == before + 1


def test_an_endpoint_that_is_down_is_one_error() -> None:
    down = mt.Draw(mt.LLM("tiny", url=f"http://127.0.0.1:{free_port()}/v1"), "{a}")
    with pytest.raises(RunError, match=r"does not answer(.|\n)*curl"):
        down.apply(mt.State(), batch("x", "y"))


URL = "http://host/v1"
PRICE: Any = mt.past(Purchase.amount, by=Purchase.buyer)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: mt.Draw(mt.LLM("smollm2-135m"), "{a}"), "pictures come from an endpoint"),
        (lambda: mt.Draw(mt.LLM("m", url=URL), "a poster"), "uses nothing"),
        (lambda: draw(URL, size="large"), "is no size"),
        (lambda: draw(URL)(), "uses {search}, which is not given"),
        (lambda: draw(URL)(search=Purchase.search, more=Purchase.search), "does not use more"),
        (lambda: draw(URL)(search=PRICE), "is a Sequence"),
        (lambda: draw(URL)(search=Item.name), r"\.each"),
        (lambda: draw(URL).each(search=Purchase.search), "while a Purchase waits"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_built(build: Any, says: str) -> None:
    with pytest.raises(GraphError, match=says) as refused:
        build()
    assert refused.value.help
