"""Who answers a chat: the graph, with what it would answer an event, or one of its language models."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from motet import llm as language
from motet.answer import Answer
from motet.candidates import Candidates
from motet.errors import RunError
from motet.llm import LLM
from motet.serve import asking, parts
from motet.serve.engine import Reply
from motet.serve.protocols.messages import Chat, Wrong
from motet.serve.server import Server
from motet.serve.threads import Threads
from motet.serve.version import Version


@dataclass(frozen=True)
class Piece:
    """A part of a reply. extra: what else a program may read. finish: why it is the last one, empty where it is not."""

    text: str = ""
    finish: str = ""
    extra: Mapping[str, Any] | None = None
    tokens: tuple[int, int] = (0, 0)


async def by_graph(server: Server, chat: Chat, ends: float) -> AsyncGenerator[Piece, None]:
    """What the graph writes, or else lists; the answer itself goes along."""
    version = server.version
    row, size = row_of(version, chat), sum(len(text) for _, text in chat.turns)
    async with aclosing(asking.told(server, row, size=size, ends=ends)) as told:
        async for part in told:
            if isinstance(part, Reply):
                yield Piece(written(version, part.answer))
                answer = {"version": part.version, "answer": part.answer, "answered_by": part.answered_by}
                yield Piece(finish="stop", extra=answer)
            else:
                yield Piece(extra={"version": part.version, "answer": part.answer})


def row_of(version: Version, chat: Chat) -> dict[str, Any]:
    """The event that a chat is: who asks, what, and further fields in `metadata` (texts) and in `ask` (any)."""
    text, reference = parts.first_text(version), version.event.first_reference()
    said = {text: chat.question} if text else {}
    asks = {reference: chat.user} if reference and chat.user else {}
    return {**said, **asks, **chat.metadata, **chat.ask}


def written(version: Version, answer: Answer) -> str:
    """The late text; where there is none, the first candidates line by line; else the answer as JSON."""
    late = parts.late_text(version)
    if late and answer[late]:
        return str(answer[late])
    outputs = version.outline.answered.items()
    listed = next((name for name, column in outputs if isinstance(column, Candidates)), None)
    if listed is None:
        return json.dumps(answer, ensure_ascii=False)
    # An item is its key, its first text if it has one, and its score.
    return "\n".join(f"{i}. {list(item.values())[-2]}" for i, item in enumerate(answer[listed], 1))


async def by_llm(threads: Threads, llm: LLM, chat: Chat, ends: float) -> AsyncGenerator[Piece, None]:
    """What the language model says, as it says it; with a schema, once it is known to fit."""
    async with aclosing(threads.pieces(partial(_begun, llm, chat, ends), ends)) as pieces:
        async for piece in pieces:
            if isinstance(piece, str):
                yield Piece(piece)
                continue
            cut = piece.tokens_out >= chat.tokens
            if piece.problem and not cut:
                _refuse(piece)
            yield Piece(finish="length" if cut else "stop", tokens=(piece.tokens_in, piece.tokens_out))


def _refuse(reply: language.Reply) -> None:
    if "deadline" in reply.problem:
        raise TimeoutError(reply.problem)
    if reply.passing:
        raise RunError(f"the language model gave no answer: {reply.problem}")
    raise Wrong("messages", f"the language model gave no answer: {reply.problem}")


def _begun(llm: LLM, chat: Chat, ends: float, left: threading.Event) -> Generator[str, None, language.Reply]:
    client, seconds = llm.open(), ends - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    if chat.schema is None:
        return client.stream(chat.prompt, max_tokens=chat.tokens, stop=chat.stop, seconds=seconds)
    return _at_once(client, chat, ends, left)


def _at_once(
    client: language.Client, chat: Chat, ends: float, left: threading.Event
) -> Generator[str, None, language.Reply]:
    (reply,) = client.complete(
        [chat.prompt], max_tokens=chat.tokens, schema=chat.schema, stop=chat.stop, until=ends, left=left
    )
    yield reply.text
    return reply


def whole(chat: Chat, pieces: list[Piece]) -> dict[str, Any]:
    """A reply in one."""
    last = pieces[-1]
    message = {"role": "assistant", "content": "".join(piece.text for piece in pieces), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": last.finish}
    return _headed(chat, "chat.completion") | {"choices": [choice], "usage": usage(*last.tokens)} | _extra(last)


async def chunks(chat: Chat, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    """A reply in parts, the first of which says who speaks; usage at the end where it is asked for."""
    head = _headed(chat, "chat.completion.chunk") | ({"usage": None} if chat.told else {})
    first: dict[str, Any] = {"role": "assistant", "content": ""}
    async with aclosing(pieces):
        async for piece in pieces:
            delta = first | ({"content": piece.text} if piece.text or first else {})
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": piece.finish or None}
            yield head | {"choices": [choice]} | _extra(piece)
            first = {}
            if piece.finish and chat.told:
                yield head | {"choices": [], "usage": usage(*piece.tokens)}


def _headed(chat: Chat, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": chat.model}


def _extra(piece: Piece) -> dict[str, Any]:
    return {} if piece.extra is None else {"motet": piece.extra}


def usage(read: int, made: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}
