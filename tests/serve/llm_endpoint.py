"""An OpenAI-compatible endpoint that says the same sentence to everybody, word by word, and of items their kind."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import motet as mt
from motet.graph import Graph
from tests.serve.served import chosen
from tests.shop import Item, Purchase

SENTENCE = "is good for a quiet evening."


@dataclass
class Endpoint:
    """asked: every request. pause: seconds before each word. left: set when a client leaves in the middle. mute: while
    it is set, nobody is answered."""

    url: str = ""
    pause: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    mute: threading.Event = field(default_factory=threading.Event)


def writing(url: str) -> Graph:
    """A graph that embeds, and writes with the model behind the URL."""
    llm, embed = mt.LLM("tiny", url=url, retries=0), mt.Embed("minilm-l6")
    near = mt.retrieve(Item, k=3, by=embed(Item.name) @ embed(Purchase.search))
    write = mt.Write(llm, "Answer {search} using only {items}.")
    reply = write(search=Purchase.search, items=chosen.top(2)).within(seconds=5, otherwise="")
    return Graph(top=chosen.top(3), near=near, reply=reply)


@contextlib.contextmanager
def speaking() -> Generator[Endpoint, None, None]:
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            endpoint.asked.append(request)
            while endpoint.mute.is_set():
                time.sleep(0.01)
            try:
                self._stream() if request.get("stream") else self._whole(request)
            except OSError:
                endpoint.left.set()

        def _whole(self, request: dict[str, Any]) -> None:
            kind = re.search(r"kind: (\w+)", request["messages"][-1]["content"])
            said = SENTENCE if kind is None else f"is a {kind[1]} that is good."
            text = '{"kind": "tea"}' if "response_format" in request else said
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 7, "completion_tokens": 6, "total_tokens": 13}
            body = json.dumps({"choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            words = SENTENCE.split(" ")
            for i, word in enumerate(words):
                time.sleep(endpoint.pause)
                self._event({"choices": [{"index": 0, "delta": {"content": word + " " * (i + 1 < len(words))}}]})
            self._event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 6, "total_tokens": 13}})
            self.wfile.write(b"data: [DONE]\n\n")

        def _event(self, chunk: dict[str, Any]) -> None:
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
