"""Connections that are slow, idle, half closed or broken, and what they are told."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

import motet as mt
from motet.batch import Array
from motet.fitted import Fitted
from motet.serve import listener
from motet.serve.engine import Limits
from tests.serve.protocols.test_own import wait_for
from tests.serve.served import gated, prepared
from tests.shop import Purchase
from tests.test_late import Slow

COMPUTING, GATE = threading.Event(), threading.Event()


@mt.function(mt.Number)
def held(amount: Array) -> Array:
    COMPUTING.set()
    if 2.0 in amount:
        GATE.wait(20)
    return amount


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A graph whose answer for an amount of 2 is held back while the gate is closed."""
    GATE.set()
    return prepared(tmp_path_factory.mktemp("store"), mt.Graph(value=held(Purchase.amount)))


@contextlib.contextmanager
def shut() -> Generator[None]:
    """Closes the gate for a while."""
    COMPUTING.clear()
    GATE.clear()
    try:
        yield
    finally:
        GATE.set()


def sent(port: int, request: bytes) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    made.sendall(request)
    return made


def ask(amount: float, *headers: bytes) -> bytes:
    body = json.dumps({"buyer": "b3", "amount": amount}).encode()
    lines = (b"POST /v1/ask HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def all_of(connection: socket.socket) -> bytes:
    """What comes until the connection ends."""
    with connection:
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_who_only_stopped_sending_is_told_so_and_its_ask_is_withdrawn(fitted: Fitted) -> None:
    with gated(fitted, limits=Limits(threads=1)) as running, shut():
        engine = running.server.engine
        computed = sent(running.port, ask(2.0))
        assert COMPUTING.wait(10)
        waiting = sent(running.port, ask(3.0))
        wait_for(lambda: len(engine.waiting) == 1)
        for half in (waiting, computed):
            half.shutdown(socket.SHUT_WR)
            head, _, body = all_of(half).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert b"content-type: application/problem+json" in head
            assert b"connection: close" in head
            problem = json.loads(body)
            assert "closed its sending side" in problem["detail"]
            assert "keep the sending side open until the answer has come" in problem["help"]
        wait_for(lambda: not engine.waiting and not engine.bytes)


def test_who_stops_sending_in_the_middle_of_an_answer_gets_nothing_between_its_parts(tmp_path: Path) -> None:
    late = Slow(0.5)(Purchase.search).within(seconds=10, otherwise="")
    with gated(prepared(tmp_path, mt.Graph(amount=Purchase.amount + 0, late=late))) as running:
        streaming = sent(running.port, ask(2.0, b"Accept: text/event-stream"))
        begun = streaming.recv(1 << 16)
        assert begun.startswith(b"HTTP/1.1 200")
        streaming.shutdown(socket.SHUT_WR)
        assert b"HTTP/1.1" not in all_of(streaming)


def test_who_stops_sending_at_once_gets_one_reply(fitted: Fitted) -> None:
    with gated(fitted) as running:
        for _ in range(20):
            half = sent(running.port, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            half.shutdown(socket.SHUT_WR)
            head, _, body = all_of(half).partition(b"\r\n\r\n")
            assert json.loads(body)["status"] == (400 if b"400" in head else "live")


@pytest.mark.parametrize(
    "sends", [b"NONSENSE\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nno header\r\n\r\n"]
)
def test_what_is_no_request_is_a_problem_too(fitted: Fitted, sends: bytes) -> None:
    with gated(fitted) as running:
        head, _, body = all_of(sent(running.port, sends)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["detail"].startswith("what was sent is no HTTP/1.1 request: ")
    assert "http://, not https://" in json.loads(body)["help"]


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ((b"Content-Length: 1", b"Content-Length: 1"), "Content-Length"),
        ((b"Content-Length: -1",), "Content-Length"),
        ((b"Content-Length: 1", b"Transfer-Encoding: chunked"), "Transfer-Encoding"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(fitted: Fitted, headers: tuple[bytes, ...], why: str) -> None:
    lines = (b"POST /v1/ask HTTP/1.1", b"Host: x", *headers)
    with gated(fitted) as running:
        body = all_of(sent(running.port, b"\r\n".join(lines) + b"\r\n\r\n{}")).partition(b"\r\n\r\n")[2]
    assert why in json.loads(body)["detail"]


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
@pytest.mark.parametrize("head", [b"X: " + b"a" * (8 << 20), b"X: y\r\n" * (1 << 20), b"X: y\r\n" * (15 << 10)])
def test_headers_that_do_not_end_are_refused_before_they_take_room_or_time(
    fitted: Fitted, head: bytes, end: bytes
) -> None:
    with gated(fitted) as running:
        made = socket.create_connection(("127.0.0.1", running.port), timeout=10)
        with contextlib.suppress(OSError):  # it stops reading
            made.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + head + end)
        began = time.monotonic()
        assert running.call("GET", "/health/live").status == 200
        assert time.monotonic() - began < 2
        with contextlib.suppress(ConnectionResetError):  # with the reply in it, where much was still on its way
            assert all_of(made).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


def test_a_request_is_answered_whatever_comes_behind_it(fitted: Fitted) -> None:
    with gated(fitted) as running:
        said = all_of(sent(running.port, ask(1.0) + b"and more"))
    assert said.count(b"HTTP/1.1") == 1
    assert said.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("asks", [b"h2c", b"websocket", b"TLS/1.0"])
@pytest.mark.parametrize("name", [b"Upgrade", b"keep-alive, Upgrade, HTTP2-Settings", b"UPGRADE"])
def test_who_offers_another_protocol_is_answered_in_this_one(fitted: Fitted, asks: bytes, name: bytes) -> None:
    request = ask(1.0, b"Connection: " + name, b"Upgrade: " + asks, b"HTTP2-Settings: AAMAAABk")
    with gated(fitted) as running:
        made = sent(running.port, request)
        first = made.recv(1 << 16)
        assert first.startswith(b"HTTP/1.1 200")
        made.sendall(ask(1.0))
        assert made.recv(1 << 16).startswith(b"HTTP/1.1 200")
        made.close()
        split = sent(running.port, request[:50])
        time.sleep(0.05)
        split.sendall(request[50:])
        assert split.recv(1 << 16).startswith(b"HTTP/1.1 200")
        split.close()


def test_who_asks_for_a_websocket_is_told_what_there_is_instead(
    fitted: Fitted, capfd: pytest.CaptureFixture[str]
) -> None:
    asks = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"}
    with gated(fitted) as running:
        said = running.call("GET", "/v1/ask", headers=asks)
    assert said.status == 405
    assert "Accept: text/event-stream" in said.json["help"]
    assert "WebSocket" not in capfd.readouterr().err  # no advice to install what would not be used


def test_idle_half_closed_and_dripping_connections_do_not_hurt_others(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HEADERS", 0.5)
    with gated(fitted) as running, contextlib.ExitStack() as opened:
        address = ("127.0.0.1", running.port)
        idle = [opened.enter_context(socket.create_connection(address)) for _ in range(300)]
        half = opened.enter_context(socket.create_connection(address))
        half.sendall(b"POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        half.shutdown(socket.SHUT_WR)
        slow = opened.enter_context(socket.create_connection(address))
        slow.settimeout(10)
        began = time.perf_counter()
        with contextlib.suppress(OSError):
            for letter in b"POST /v1/ask HTTP/1.1\r\nHost: example\r\nX-Slow: and so on and on and on and on":
                slow.sendall(bytes([letter]))
                time.sleep(0.05)
        assert time.perf_counter() - began < 3, "whoever drips headers is cut off"
        began = time.perf_counter()
        assert {running.ask(buyer="b3", amount=3.0).status for _ in range(20)} == {200}
        assert time.perf_counter() - began < 5
        idle[0].sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle[0].recv(100).startswith(b"HTTP/1.1 200")


def test_a_request_over_a_kept_connection_is_answered_while_the_server_ends(fitted: Fitted) -> None:
    with gated(fitted) as running:
        kept = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        kept.request("GET", "/health/ready")
        kept.getresponse().read()
        running.server.drain()
        kept.request("GET", "/health/ready")
        response = kept.getresponse()
        assert (response.status, response.getheader("connection")) == (503, "close")
        response.read()
        kept.close()
