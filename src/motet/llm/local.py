"""A GGUF model run in this process by llama.cpp: continuous batching, cached beginnings, no open port."""

from __future__ import annotations

import http.client
import json
import math
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import lru_cache
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from motet.errors import RunError, needs
from motet.llm import labels as label_paths
from motet.llm.account import Account, carried, charge
from motet.llm.client import Prompt, Reply, Schema, Usage
from motet.llm.fits import misfit
from motet.models.cores import threads

if TYPE_CHECKING:
    from motet.llm import LLM

# Far above any difference between logits, so that only the labels' tokens are left, their differences kept.
_LIFT = 100.0
_HERE = "\x02here\x02"
_LATE = "not finished by its deadline"
_LONGEST = 64  # characters of a token: a run of spaces has as many, a word about five


class Local:
    """A model in memory, run by as many engines as there are cores for, `parallel` slots in all.

    An engine's threads wait for each other at every operation, so that one busy core stops them all; engines
    of one thread do not wait for anybody, and share the weights' memory. llama.cpp's servers listen on
    private socket files only.
    """

    grammars = True

    def __init__(self, llm: LLM) -> None:
        engines = max(1, min(threads() // llm.threads, llm.parallel))
        slots = math.ceil(llm.parallel / engines)
        self.parallel = engines * slots
        self._seconds, self._context = llm.seconds, llm.context
        # A socket in a folder that only this user can enter, and a key besides.
        self._folder = tempfile.TemporaryDirectory(prefix="motet-llm-")
        self._key = secrets.token_urlsafe(32)
        self._sockets = [str(Path(self._folder.name) / f"{engine}.sock") for engine in range(engines)]
        try:
            self._engines: list[Any] = [_server(llm, slots, each, self._key) for each in self._sockets]
        except BaseException:
            self._folder.cleanup()
            raise
        self._free, self._seating = set(range(self.parallel)), threading.Lock()
        # As many workers as slots, so that a worker always finds a free one.
        self._pool = ThreadPoolExecutor(self.parallel, thread_name_prefix="motet-llm")
        # What shares a forward pass with a text, and what its slot held before, changes its scores by up to 0.3 nats.
        self._alone = {id(engine): threading.Lock() for engine in self._engines}
        self._total = Account()
        self._template = lru_cache(maxsize=64)(self._rendered)
        self._tokens = lru_cache(maxsize=4096)(self._tokenized)

    @property
    def usage(self) -> Usage:
        return self._total.usage

    def complete(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int,
        schema: Schema | None = None,
        grammar: str | None = None,
        stop: Sequence[str] = (),
        seconds: float | None = None,
        until: float | None = None,
        left: threading.Event | None = None,
        told: Callable[[int, Reply], None] | None = None,
    ) -> list[Reply]:
        request: dict[str, Any] = {"n_predict": max_tokens, "temperature": 0.0, "stop": list(stop)}
        if schema is not None:
            request["json_schema"] = _closed(schema)
        if grammar is not None:
            request["grammar"] = grammar

        # Whoever reads along reads the first one first, so few prompts do not share an engine.
        gate = threading.Semaphore(len(self._engines) or 1) if told and len(prompts) <= self.parallel else nullcontext()

        def one(numbered: tuple[int, Prompt]) -> Reply:
            with gate:
                return in_turn(*numbered)

        def in_turn(number: int, prompt: Prompt) -> Reply:
            if (until is not None and time.monotonic() >= until) or (left is not None and left.is_set()):
                return Reply("", problem=_LATE, passing=True)
            most = self._seconds if seconds is None else seconds
            most = most if until is None else min(most, until - time.monotonic())
            reply = self._complete(number, request | {"prompt": self._text(prompt)}, most, left=left)
            problem = reply.problem or (misfit(reply.text, schema) if schema is not None else "")
            reply = replace(reply, problem=problem)
            if told is not None:
                told(number, reply)
            return reply

        return list(self._open_pool().map(carried(one), enumerate(prompts)))

    def stream(
        self, prompt: Prompt, *, max_tokens: int, stop: Sequence[str] = (), seconds: float | None = None
    ) -> Generator[str, None, Reply]:
        request = {"prompt": self._text(prompt), "n_predict": max_tokens, "temperature": 0.0, "stop": list(stop)}
        pieces: SimpleQueue[str | None] = SimpleQueue()
        left = threading.Event()

        def work() -> Reply:
            try:
                return self._complete(0, request, seconds, pieces.put, left)
            finally:
                pieces.put(None)

        whole = self._open_pool().submit(carried(work))
        try:
            while (piece := pieces.get()) is not None:
                yield piece
            return whole.result()
        finally:
            left.set()

    def score(self, prompts: Sequence[Prompt], labels: Sequence[str]) -> NDArray[np.float32] | None:
        """Each text alone in its engine and read anew, so that its scores are the same whatever else is scored."""
        # A token that ends every label, so that none is the beginning of another ("sci", "sci-fi").
        end = self._tokens("\n")
        parts: dict[str, tuple[label_paths.Fork, ...]] = {}
        for gap in {_gap(prompt) for prompt in prompts}:
            parts[gap] = label_paths.forks([self._tokens(gap + label) + end for label in labels])

        def one(numbered: tuple[int, Prompt]) -> NDArray[np.float32]:
            number, prompt = numbered
            text = self._text(prompt)
            if self._too_long(text):
                return np.full(len(labels), np.nan, np.float32)

            with self._slot(number) as (engine, slot), self._alone[id(engine)]:
                looks = count()

                def look(shared: label_paths.Path, tokens: Sequence[int]) -> NDArray[np.float64]:
                    read = {**slot, "cache_prompt": next(looks) > 0}
                    return self._look(engine, read, [text, *shared], tokens)

                return label_paths.scores(parts[_gap(prompt)], len(labels), look)

        rows = list(self._open_pool().map(carried(one), enumerate(prompts)))
        return np.stack(rows) if rows else np.zeros((0, len(labels)), np.float32)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._engines.clear()
        self._folder.cleanup()

    def _open_pool(self) -> ThreadPoolExecutor:
        if not self._engines:
            raise RunError("this language model was closed", help="llm.open()")
        return self._pool

    @contextmanager
    def _slot(self, number: int) -> Generator[tuple[Any, dict[str, Any]], None, None]:
        """An engine and a slot of it: the one that prompt `number` of the last call had, if it is free."""
        with self._seating:
            wished = number % self.parallel
            seat = wished if wished in self._free else min(self._free)
            self._free.remove(seat)
        try:
            engine = self._engines[seat % len(self._engines)]
            yield engine, {"id_slot": seat // len(self._engines), "cache_prompt": True}
        finally:
            with self._seating:
                self._free.add(seat)

    def _look(
        self, engine: Any, slot: Mapping[str, Any], prompt: list[Any], tokens: Sequence[int]
    ) -> NDArray[np.float64]:
        """Log-probabilities of the next token among `tokens`, by one forward pass; NaN where it failed."""
        started = time.monotonic()
        request = {
            "prompt": prompt,
            "n_predict": 1,
            "n_probs": len(tokens),
            "logprobs": len(tokens),
            "post_sampling_probs": True,
            "samplers": ["top_k"],
            "top_k": len(tokens),
            "logit_bias": [[token, _LIFT] for token in tokens],
        }
        answer = cast("dict[str, Any]", engine.handle_completions({**request, **slot}))
        if "error" in answer:
            return np.full(len(tokens), np.nan)
        self._count(answer["usage"], time.monotonic() - started)
        top = answer["choices"][0]["logprobs"]["content"][0]["top_probs"]
        found = {each["id"]: each["prob"] for each in top}
        return np.log([max(found.get(token, 0.0), 1e-30) for token in tokens])

    def _complete(
        self,
        number: int,
        request: Mapping[str, Any],
        seconds: float | None,
        heard: Any = None,
        left: threading.Event | None = None,
    ) -> Reply:
        """Streams inside, because only between two tokens can a generation be ended."""
        if problem := self._too_long(request["prompt"]):
            return Reply("", problem=problem)
        started = time.monotonic()
        until = started + (self._seconds if seconds is None else seconds)
        text: list[str] = []
        last: dict[str, Any] = {}

        def hear(chunk: dict[str, Any]) -> bool:
            last.update(chunk)
            for choice in chunk.get("choices", ()):
                text.append(choice["text"])
                if heard is not None and choice["text"]:
                    heard(choice["text"])
            return time.monotonic() > until or (left is not None and left.is_set())

        with self._slot(number) as (engine, slot):
            engine.handle_completions({**request, **slot, "stream": True}, hear)
        took = time.monotonic() - started
        used = cast("dict[str, int]", last.get("usage") or {})
        self._count(used, took)
        late = time.monotonic() > until
        tokens = used.get("prompt_tokens", 0), used.get("completion_tokens", 0)
        return Reply("".join(text), *tokens, took, _problem(last, late=late), passing=late)

    def _count(self, used: Mapping[str, int], seconds: float) -> None:
        spent = Usage(1, used.get("prompt_tokens", 0), used.get("completion_tokens", 0), seconds)
        self._total.add(spent)
        charge(spent)

    def _too_long(self, text: str) -> str:
        """Why a prompt cannot fit into the context, where that is clear before its tokens are counted: to tokenize a
        million characters takes a second."""
        fits = len(text) <= _LONGEST * self._context
        return "" if fits else f"{len(text):,} characters are more than a context of {self._context:,} tokens"

    def _text(self, prompt: Prompt) -> str:
        """The prompt in the model's own chat form. Users' texts cannot contain its control marks."""
        roles, texts = zip(*prompt.turns, strict=True)
        parts = self._template(roles)
        filled = [_unmarked(text) + after for text, after in zip(texts, parts[1:], strict=True)]
        return parts[0] + "".join(filled) + _unmarked(prompt.start)

    def _rendered(self, roles: tuple[str, ...]) -> list[str]:
        """What stands before the first message, between them, and after the last."""
        messages = [{"role": role, "content": _HERE} for role in roles]
        return str(self._post("/apply-template", {"messages": messages})["prompt"]).split(_HERE)

    def _tokenized(self, text: str) -> tuple[int, ...]:
        return tuple(self._post("/tokenize", {"content": text, "add_special": False})["tokens"])

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        connection = _SocketFile(self._sockets[0])
        try:
            headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(body), headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


class _SocketFile(http.client.HTTPConnection):
    def __init__(self, file: str) -> None:
        super().__init__("localhost", timeout=30)
        self._file = file

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._file)


def _server(llm: LLM, slots: int, socket_file: str, key: str) -> Any:
    try:
        import xllamacpp
    except ImportError:
        raise needs("llm", "xllamacpp") from None
    file = llm.file()
    config = cast(Any, xllamacpp).CommonParams()
    config.model.path = str(file)
    config.hostnames, config.api_keys = [socket_file], [key]
    config.ui, config.endpoint_slots, config.verbosity = False, False, 0
    config.n_parallel, config.n_ctx = slots, slots * llm.context
    config.cpuparams.n_threads = config.cpuparams_batch.n_threads = llm.threads
    config.cache_ram_mib, config.warmup = 0, False
    try:
        server = cast(Any, xllamacpp).Server(config)
        # An engine that is closed before its loop has begun never ends; an answer shows that it has.
        server.handle_completions({"prompt": "a", "n_predict": 1})
        return server
    except Exception as error:
        raise RunError(f"{file.name} cannot be loaded as a model: {error}", help='mt.LLM("smollm2-135m")') from None


def _unmarked(text: str) -> str:
    return text.replace("<|", "< |")


def _gap(prompt: Prompt) -> str:
    return " " if prompt.start and not prompt.start[-1].isspace() else ""


def _problem(last: Mapping[str, Any], late: bool) -> str:
    if "error" in last:
        return str(last["error"].get("message", last["error"]))
    finished = any(choice.get("finish_reason") for choice in last.get("choices", ()))
    return "" if finished else _LATE if late else "no answer"


def _closed(schema: Schema) -> dict[str, Any]:
    """The schema with its objects closed: a small model otherwise adds fields until its tokens run out."""
    closed = dict(schema)
    if "properties" in closed:
        closed["properties"] = {name: _closed(field) for name, field in closed["properties"].items()}
        closed.setdefault("additionalProperties", False)
    if "items" in closed:
        closed["items"] = _closed(closed["items"])
    return closed
