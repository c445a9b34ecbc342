"""Endpoints that are down, slow, rude or fine: real servers on loopback."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from motet.errors import RunError
from motet.llm import LLM, Prompt
from motet.llm.openai import Endpoint

Answer = tuple[int, dict[str, str], bytes]
SCHEMA = {"type": "object", "properties": {"year": {"type": "integer"}}, "required": ["year"]}


def chat(text: object, logprobs: object = None) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": logprobs}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}).encode()


def tops(**logprobs: float) -> dict[str, object]:
    return {"content": [{"top_logprobs": [{"token": t, "logprob": v} for t, v in logprobs.items()]}]}


@contextmanager
def serving(
    answer: Callable[[dict, int], Answer], pause: float = 0.0, trickle: bool = False, port: int = 0
) -> Generator[str, None, None]:
    calls: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            calls.append(request)
            status, headers, body = answer(request, len(calls))
            time.sleep(pause)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body) + 100 * trickle))
            self.end_headers()
            try:
                for _ in range(100 * trickle):
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.1)
                self.wfile.write(body)
            except OSError:
                pass  # the client left, as it should

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def client_of(llm: LLM) -> Generator[Endpoint, None, None]:
    opened = Endpoint(llm)
    try:
        yield opened
    finally:
        opened.close()


def client(url: str, retries: int = 3, parallel: int = 8) -> AbstractContextManager[Endpoint]:
    return client_of(LLM("any", url=url, retries=retries, parallel=parallel))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_replies_come_in_order_with_their_usage() -> None:
    def echo(request: dict, n: int) -> Answer:
        return 200, {}, chat(request["messages"][-1]["content"])

    with serving(echo) as url, client(url) as llm:
        replies = llm.complete([Prompt(str(i)) for i in range(20)], max_tokens=5)
        assert [r.text for r in replies] == [str(i) for i in range(20)]
        assert llm.usage.prompts == 20
        assert (llm.usage.tokens_in, llm.usage.tokens_out) == (140, 40)


def test_an_endpoint_that_is_down_is_one_error_and_quick() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    started = time.monotonic()
    with client(url, retries=2) as llm, pytest.raises(RunError) as raised:
        llm.complete([Prompt("hello")] * 500, max_tokens=5)
    assert time.monotonic() - started < 5
    assert url in str(raised.value)
    assert "help: " in str(raised.value)


def test_a_slow_endpoint_costs_each_prompt_its_deadline_and_no_more() -> None:
    with serving(lambda request, n: (200, {}, chat("late")), pause=3) as url, client(url) as llm:
        started = time.monotonic()
        replies = llm.complete([Prompt("a"), Prompt("b")], max_tokens=5, seconds=0.5)
        assert time.monotonic() - started < 2
        assert all("deadline" in reply.problem for reply in replies)


def test_what_nobody_waits_for_any_more_is_not_asked() -> None:
    asked: list[int] = []

    def answer(request: dict, n: int) -> Answer:
        asked.append(n)
        return 200, {}, chat("hello")

    with serving(answer, pause=0.4) as url, client(url, parallel=1) as llm:
        replies = llm.complete([Prompt("a")] * 5, max_tokens=5, until=time.monotonic() + 0.6)
    assert [reply.problem for reply in replies] == ["", *["not finished by its deadline"] * 4]
    assert len(asked) == 2


def test_what_somebody_who_left_would_have_waited_for_is_not_asked() -> None:
    left, asked = threading.Event(), list[int]()

    def answer(request: dict, n: int) -> Answer:
        asked.append(n)
        left.set()
        return 200, {}, chat("hello")

    with serving(answer) as url, client(url, parallel=1) as llm:
        replies = llm.complete([Prompt("a")] * 5, max_tokens=5, left=left)
    assert [reply.problem for reply in replies] == ["", *["not finished by its deadline"] * 4]
    assert asked == [1]


def test_who_has_a_deadline_does_not_wait_for_an_endpoint_that_was_away_a_moment_ago() -> None:
    with client(f"http://127.0.0.1:{free_port()}/v1", retries=1) as llm:
        for most in (1.0, 0.1):
            started = time.monotonic()
            with pytest.raises(RunError, match="does not answer"):
                llm.complete([Prompt("a")] * 20, max_tokens=5, until=started + 5)
            assert time.monotonic() - started < most


def test_an_endpoint_that_is_back_is_asked_again() -> None:
    port = free_port()
    with client(f"http://127.0.0.1:{port}/v1", retries=0) as llm:
        with pytest.raises(RunError):
            llm.complete([Prompt("a")], max_tokens=5, until=time.monotonic() + 5)
        with serving(lambda request, n: (200, {}, chat("hello")), port=port):
            time.sleep(0.3)
            assert llm.complete([Prompt("a")], max_tokens=5, until=time.monotonic() + 5)[0].text == "hello"


def test_an_answer_that_trickles_ends_at_the_deadline() -> None:
    with serving(lambda request, n: (200, {}, chat("late")), trickle=True) as url, client(url) as llm:
        started = time.monotonic()
        reply = llm.complete([Prompt("a")], max_tokens=5, seconds=0.6)[0]
        assert time.monotonic() - started < 3
        assert "deadline" in reply.problem


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>oops</html>", "not JSON"),
        (b"[1, 2]", "no JSON object"),
        (b'{"choices": []}', "holds no reply"),
        (b'{"choices": [{"message": null}]}', "holds no reply"),
        (chat(None), "holds no reply"),
        (chat("sure! the year is 1999"), "not JSON"),
        (chat('{"year": "1999"}'), "no integer"),
        (chat('{"when": 1999}'), "lacks 'year'"),
    ],
)
def test_nonsense_is_a_problem_of_its_own_prompt(body: bytes, why: str) -> None:
    def sometimes(request: dict, n: int) -> Answer:
        bad = request["messages"][-1]["content"] == "bad"
        return 200, {}, body if bad else chat('{"year": 1999}')

    with serving(sometimes) as url, client(url) as llm:
        good, bad = llm.complete([Prompt("good"), Prompt("bad")], max_tokens=5, schema=SCHEMA)
        assert good.text == '{"year": 1999}'
        assert not good.problem
        assert why in bad.problem


def test_429_is_waited_out_as_the_endpoint_asks() -> None:
    def busy_then_fine(request: dict, n: int) -> Answer:
        return (429, {"retry-after": "0.6"}, b"{}") if n == 1 else (200, {}, chat("fine"))

    with serving(busy_then_fine) as url, client(url) as llm:
        started = time.monotonic()
        reply = llm.complete([Prompt("a")], max_tokens=5)[0]
        assert reply.text == "fine"
        assert time.monotonic() - started >= 0.6


def test_retries_are_bounded() -> None:
    with serving(lambda request, n: (503, {}, b"{}")) as url, client(url, retries=1) as llm:
        reply = llm.complete([Prompt("a")], max_tokens=5)[0]
        assert "503" in reply.problem


def test_an_endpoint_without_schemas_is_asked_without() -> None:
    def older(request: dict, n: int) -> Answer:
        if "response_format" in request:
            return 400, {}, b'{"error": {"message": "unknown field response_format"}}'
        return 200, {}, chat('{"year": 1}')

    with serving(older) as url, client(url) as llm:
        assert [r.problem for r in llm.complete([Prompt("a")] * 3, max_tokens=5, schema=SCHEMA)] == ["", "", ""]


def test_a_stream_ends_with_the_whole_reply_and_its_usage() -> None:
    def streamed(request: dict, n: int) -> Answer:
        if "stream_options" in request:
            return 400, {}, b'{"error": {"message": "unknown field stream_options"}}'
        pieces = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("he", "llo")]
        usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}}
        lines = [f"data: {json.dumps(each)}\n\n" for each in (*pieces, usage)]
        return 200, {"content-type": "text/event-stream"}, "".join([*lines, "data: [DONE]\n\n"]).encode()

    with serving(streamed) as url, client(url) as llm:
        stream = llm.stream(Prompt("a", earlier=("b", "c")), max_tokens=5)
        assert [next(stream), next(stream)] == ["he", "llo"]
        with pytest.raises(StopIteration) as end:
            next(stream)
        assert (end.value.value.text, end.value.value.tokens_out, llm.usage.prompts) == ("hello", 2, 1)


def test_a_wrong_key_is_one_error() -> None:
    with serving(lambda request, n: (401, {}, b"{}")) as url, client(url) as llm, pytest.raises(RunError, match="401"):
        llm.complete([Prompt("a")] * 5, max_tokens=5)


def test_labels_are_scored_by_the_first_tokens_alternatives() -> None:
    answer = chat("t", tops(tense=-1.0, fun=-2.0, other=-0.1))
    with serving(lambda request, n: (200, {}, answer)) as url, client(url) as llm:
        scored = llm.score([Prompt("a"), Prompt("b")], ["tense", "funny", "sad"])
    assert scored is not None
    assert scored.shape == (2, 3)
    assert scored[0, 0] - scored[0, 1] == pytest.approx(1.0)
    assert scored[0, 2] < scored[0, 1]
    assert np.exp(scored).sum(axis=1) == pytest.approx([1, 1])


@pytest.mark.parametrize("logprobs", [None, {"content": []}, tops(s=-1.0)])
def test_labels_are_not_scored_without_telling_log_probabilities(logprobs: object) -> None:
    with serving(lambda request, n: (200, {}, chat("s", logprobs))) as url, client(url) as llm:
        assert llm.score([Prompt("a")], ["sad", "scary"]) is None


@pytest.mark.parametrize(("status", "logprobs", "times"), [(200, None, 1), (422, None, 1), (200, tops(s=-1.0), 2)])
def test_who_gives_no_log_probabilities_is_not_asked_for_them_again(status: int, logprobs: object, times: int) -> None:
    asked: list[int] = []

    def answered(request: Any, n: int) -> tuple[int, dict[str, str], bytes]:
        asked.append(n)
        return status, {}, chat("s", logprobs)

    with serving(answered) as url, client(url) as llm:
        assert [llm.score([Prompt("a")], ["sad", "scary"]) for _ in range(2)] == [None, None]
    assert len(asked) == times


def test_a_grammar_is_refused_rather_than_ignored() -> None:
    with client("http://127.0.0.1:9/v1") as llm, pytest.raises(RunError, match="grammar"):
        llm.complete([Prompt("a")], max_tokens=5, grammar='root ::= "a"')


def test_a_missing_key_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(RunError, match="NO_SUCH_KEY"):
        Endpoint(LLM("any", url="http://127.0.0.1:1/v1", api_key_env="NO_SUCH_KEY"))
