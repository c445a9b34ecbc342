"""What OpenAI's clients speak: models, chat completions, embeddings.

The graph itself is a model by its own name: the user's last message becomes the event's first Text that is no outcome
(all turns, where the graph has a model that reads a conversation: motet.Dialogue),
`user` the key of its first reference, and `metadata` and `ask` (in the client's `extra_body`) give further fields.
An event without a text is asked by these fields alone. Beside it are the graph's language models and its embedders.

A language model counts its own tokens. What the graph says is cut by `max_tokens`, and its texts and those to embed are
counted in `usage`, by four bytes a token (motet.serve.protocols.tokens): the graph may have no language model.
"""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from motet.batch import Array
from motet.errors import listed
from motet.llm import LLM
from motet.serve import http, parts, problems
from motet.serve.operations import JSON, Paths, Schema, get, post, refusals
from motet.serve.protocols import chats, messages
from motet.serve.protocols.chats import Piece
from motet.serve.protocols.messages import Chat, Wrong, one, shown
from motet.serve.protocols.tokens import reckoned
from motet.serve.schemas import TEXT, asked, example, object_of
from motet.serve.server import Server
from motet.serve.threads import Threads

TEXTS = 256  # of one request for embeddings
CHARACTERS = 32_768  # of one text to embed
PATHS = ("/v1/models", "/v1/chat/completions", "/v1/embeddings")
KINDS = {401: "authentication_error", 429: "rate_limit_error"}  # what else is below 500 is an invalid_request_error
Endpoint = Callable[[Request], Awaitable[Response]]


class Spoken:
    """The graph's models as OpenAI's clients see them."""

    def __init__(self, server: Server) -> None:
        self.server, self.since = server, int(time.time())
        self._speaking: dict[LLM, Threads] = {}
        self._embedding = Threads(server.limits.threads)

    def names(self) -> list[str]:
        version = self.server.version
        return list(dict.fromkeys([self.server.name, *parts.llms(version), *parts.embedders(version)]))

    async def models(self, request: Request) -> Response:
        return http.json_reply({"object": "list", "data": [self._card(name) for name in self.names()]})

    async def model(self, request: Request) -> Response:
        name = str(request.path_params["name"])
        if name not in self.names():
            raise self._unknown(name)
        return http.json_reply(self._card(name))

    async def chat(self, request: Request) -> Response:
        chat = messages.chat_of(await http.object_of(request))
        pieces = self._said(chat, request)
        if not chat.stream:
            return http.json_reply(chats.whole(chat, await http.while_there(request, _all(pieces))))
        chunks = chats.chunks(chat, pieces)
        # The first one before any reply, so that what goes wrong until then has a status of its own.
        first = await http.while_there(request, anext(chunks))
        return http.events_reply(_sent(first, chunks, request))

    async def embeddings(self, request: Request) -> Response:
        given = {name: value for name, value in (await http.object_of(request)).items() if value is not None}
        texts, plain = _texts(given.get("input")), _plain(given)
        node = parts.embedders(version := self.server.version).get(name := one(given, "model", str))
        if node is None:
            raise self._unknown(name, parts.embedders(version))
        ends = http.ends(request, self.server.limits.seconds)
        work = self._embedding.run(lambda: parts.embedded(version, node, texts), ends)
        vectors = np.asarray(await http.while_there(request, work), "<f4")
        if given.get("dimensions", vectors.shape[1]) != vectors.shape[1]:
            raise Wrong("dimensions", f"the vectors of {name} have {vectors.shape[1]} dimensions, and no others")
        data = [
            {"object": "embedding", "index": i, "embedding": vector.tolist() if plain else _base64(vector)}
            for i, vector in enumerate(vectors)
        ]
        read = sum(map(reckoned, texts))
        usage = {"prompt_tokens": read, "total_tokens": read}
        return http.json_reply({"object": "list", "model": name, "data": data, "usage": usage})

    def _said(self, chat: Chat, request: Request) -> AsyncGenerator[Piece, None]:
        if chat.model == self.server.name:
            if chat.schema is not None or chat.stop:
                name = "stop" if chat.stop else "response_format"
                raise Wrong(name, f"{name} is for language models; the graph's answer is in the reply's `motet`")
            said = chats.by_graph(self.server, chat, http.ends(request, self.server.limits.seconds))
            return chats.counted(chat, said, chat.limit)
        llm = parts.llms(self.server.version).get(chat.model)
        if llm is None:
            raise self._unknown(chat.model, [self.server.name, *parts.llms(self.server.version)])
        if chat.ask or chat.metadata:
            raise Wrong("ask" if chat.ask else "metadata", f"fields are for the graph: model={self.server.name!r}")
        threads = self._speaking.setdefault(llm, Threads(llm.parallel))
        said = chats.counted(chat, chats.by_llm(threads, llm, chat, http.ends(request, llm.seconds)))
        return self._metered(llm, said)

    async def _metered(self, llm: LLM, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
        begun = False
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    begun = True
                    yield piece
        finally:
            if begun:  # else it may not even be loaded
                self.server.metrics.used(llm)

    def _card(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.since, "owned_by": "motet"}

    def _unknown(self, name: str, among: Sequence[str] | Mapping[str, Any] | None = None) -> Wrong:
        there = listed(self.names() if among is None else among, name)
        return Wrong("model", f"no model for this is called {shown(name)}; {there}", status=404, code="model_not_found")


def routes(server: Server) -> list[Route]:
    spoken = Spoken(server)
    return [
        Route("/v1/models", _shaped(spoken.models)),
        Route("/v1/models/{name:text}", _shaped(spoken.model)),
        Route("/v1/chat/completions", _shaped(spoken.chat), methods=["POST"]),
        Route("/v1/embeddings", _shaped(spoken.embeddings), methods=["POST"]),
    ]


def speaks(path: str) -> bool:
    """Whether OpenAI's clients ask for a path."""
    return path.startswith(PATHS)


def refusal(error: Exception) -> Response:
    """The reply to an error, as OpenAI's clients read it."""
    found = problems.of(error)
    return http.json_reply(error_of(error), found.status, found.headers)


def _shaped(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with what it refuses said as OpenAI's clients read it."""

    async def call(request: Request) -> Response:
        try:
            return await endpoint(request)
        except problems.KNOWN as error:
            return refusal(error)

    return call


def error_of(error: Exception) -> dict[str, Any]:
    """The body that tells an error."""
    found = problems.of(error)
    said = f"{found.detail}; {found.help}" if found.help else found.detail
    kind = KINDS.get(found.status, "invalid_request_error" if found.status < 500 else "server_error")
    param, code = (error.param, error.code) if isinstance(error, Wrong) else (None, None)
    return {"error": {"message": problems.told(said), "type": kind, "param": param, "code": code}}


async def _all(pieces: AsyncGenerator[Piece, None]) -> list[Piece]:
    async with aclosing(pieces):
        return [piece async for piece in pieces]


async def _sent(first: Any, chunks: AsyncGenerator[Any, None], request: Request) -> AsyncIterator[tuple[str, Any]]:
    """Chunks as events; what goes wrong between them is the last."""
    async with aclosing(chunks):
        yield "", first
        try:
            async for chunk in chunks:
                yield "", chunk
        except Exception as error:
            problems.noted(request, error)
            yield "", error_of(error)
        yield "", b"[DONE]"


def _texts(given: Any) -> list[str]:
    texts = cast("list[Any]", [given] if isinstance(given, str) else given)
    if not isinstance(given, (str, list)) or not texts or not all(isinstance(text, str) for text in texts):
        raise Wrong("input", f"input is a text or a list of texts, not {shown(given)}", code="invalid_type")
    if len(texts) > TEXTS or any(len(text) > CHARACTERS for text in texts):
        raise Wrong("input", f"input is at most {TEXTS} texts of at most {CHARACTERS:,} characters")
    if any("\ud800" <= letter <= "\udfff" for text in texts if not text.isascii() for letter in text):
        raise Wrong("input", "input holds half a character (a lone surrogate)")
    return texts


def _plain(given: Mapping[str, Any]) -> bool:
    """Whether vectors are sent as numbers."""
    known = ("model", "input", "encoding_format", "dimensions", "user")
    other = next((name for name in given if name not in known), None)
    if other is not None:
        raise Wrong(other, f"{shown(other)} is not supported: leave it out", code="unsupported_parameter")
    form = given.get("encoding_format", "float")
    if form not in ("float", "base64"):
        raise Wrong("encoding_format", f"encoding_format is {shown(form)}; there are: float, base64")
    one(given, "user", str, "")
    one(given, "dimensions", int, 0)
    return form == "float"


def _base64(vector: Array) -> str:
    return base64.b64encode(vector.tobytes()).decode()


ERROR: Schema = object_of(
    {
        "error": object_of(
            {
                "message": TEXT,
                "type": TEXT,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            }
        )
    }
)
USAGE: Schema = object_of({"prompt_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}})


def paths(server: Server) -> Paths:
    spoken = Spoken(server)
    refused = refusals((400, 401, 404, 408, 413, 415, 422, 429, 500, 503, 504), ERROR, JSON)
    card = object_of({"id": TEXT, "object": {"const": "model"}, "created": {"type": "integer"}, "owned_by": TEXT})
    named: Schema = {"name": "name", "in": "path", "required": True, "schema": {"enum": spoken.names()}}
    cards = object_of({"object": {"const": "list"}, "data": {"type": "array", "items": card}})
    found: dict[str, Any] = {
        "/v1/models": get("The graph, its language models and its embedders, as OpenAI's clients list them", cards),
        "/v1/models/{name}": get("One of them", card, {"404": "there is none"}, problem=ERROR, parameters=[named]),
        "/v1/chat/completions": post(
            "A chat with the graph or one of its language models, as OpenAI's clients hold it",
            _chat_schema(spoken),
            _completion(),
            example=_example(server),
            problems=refused,
            content={"text/event-stream": {"schema": {"type": "string", "description": "chunks as they come"}}},
        ),
    }
    embedders = list(parts.embedders(server.version))
    if embedders:
        found["/v1/embeddings"] = post(
            "Texts as vectors, as OpenAI's clients ask for them",
            _input_schema(embedders),
            _vectors(),
            example={"model": embedders[0], "input": "a text"},
            problems=refused,
        )
    return found


def _chat_schema(spoken: Spoken) -> Schema:
    """What a chat may give. Whatever else is given is refused."""
    version = spoken.server.version
    names = [spoken.server.name, *parts.llms(version)]
    part = object_of({"type": TEXT, "text": TEXT}, required=("text",))
    content = {"anyOf": [TEXT, {"type": "array", "items": part}]}
    message = object_of({"role": {"enum": list(messages.ROLES)}, "content": content})
    about = "of the reply at most; of the graph's, four bytes each"
    tokens = {"type": ["integer", "null"], "minimum": 1, "maximum": messages.MOST_TOKENS, "description": about}
    properties: dict[str, Any] = {
        "model": {"enum": names},
        "messages": {"type": "array", "items": message, "minItems": 1, "description": "what was said so far"},
        "stream": {"type": ["boolean", "null"]},
        "stream_options": {"type": ["object", "null"], "properties": {"include_usage": {}}},
        "max_tokens": tokens,
        "max_completion_tokens": tokens,
        "stop": {"type": ["string", "array", "null"], "items": TEXT, "maxItems": messages.STOPS},
        "response_format": {"type": ["object", "null"], "description": "text, json_object or json_schema"},
        "user": {"type": ["string", "null"], "description": "who asks the graph"},
        "metadata": {"type": ["object", "null"], "description": "further fields of the event, as texts"},
        "ask": {"type": ["object", "null"], "description": "further fields of the event: see /v1/ask"},
        **{name: {"enum": [value, None]} for name, value in messages.NEUTRAL.items()},
        **{name: {} for name in messages.WITHOUT_EFFECT},
    }
    return {**object_of(properties, required=("model", "messages")), "additionalProperties": False}


def _completion() -> Schema:
    message = object_of({"role": {"const": "assistant"}, "content": TEXT})
    choice = object_of(
        {"index": {"type": "integer"}, "message": message, "finish_reason": {"enum": ["stop", "length"]}}
    )
    told = {"type": "object", "description": "the graph's answer, as /v1/ask gives it"}
    head = {"id": TEXT, "object": {"const": "chat.completion"}, "created": {"type": "integer"}, "model": TEXT}
    choices = {"type": "array", "items": choice}
    needed = (*head, "choices", "usage")
    return object_of({**head, "choices": choices, "usage": USAGE, "motet": told}, required=needed)


def _example(server: Server) -> dict[str, Any]:
    version = server.version
    text, fields = parts.first_text(version), asked(version).get("required", [])
    ask = {name: value for name, value in example(version).items() if name in fields and name != text}
    return {"model": server.name, "messages": [{"role": "user", "content": "a question"}], "ask": ask}


def _input_schema(embedders: list[str]) -> Schema:
    text: Schema = {**TEXT, "maxLength": CHARACTERS}
    properties: dict[str, Any] = {
        "model": {"enum": embedders},
        "input": {"anyOf": [text, {"type": "array", "items": text, "minItems": 1, "maxItems": TEXTS}]},
        "encoding_format": {"enum": ["float", "base64", None]},
        "dimensions": {"type": ["integer", "null"]},
        "user": {"type": ["string", "null"]},
    }
    return {**object_of(properties, required=("model", "input")), "additionalProperties": False}


def _vectors() -> Schema:
    vector = {"type": ["array", "string"], "items": {"type": "number"}, "description": "base64 is of float32s"}
    one_of = object_of({"object": {"const": "embedding"}, "index": {"type": "integer"}, "embedding": vector})
    return object_of(
        {"object": {"const": "list"}, "model": TEXT, "data": {"type": "array", "items": one_of}, "usage": USAGE}
    )
