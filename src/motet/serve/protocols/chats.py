"""Who answers a chat: the graph, with what it would answer an event, or one of its language models."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from motet import llm as language
from motet import turns
from motet.answer import Answer
from motet.candidates import Candidates
from motet.errors import RunError
from motet.llm import LLM
from motet.serve import asking, parts
from motet.serve.engine import Reply
from motet.serve.protocols.messages import Chat, Wrong
from motet.serve.protocols.tokens import kept, reckoned
from motet.serve.server import Server
from motet.serve.threads import Threads
from motet.serve.version import Version


@dataclass(frozen=True)
class Piece:
    """A part of a reply. extra: what else a program may read. finish: why it is the last one, empty where it is not.
    tokens: read and written, as far as a language model has counted them."""

    text: str = ""
    finish: str = ""
    extra: Mapping[str, Any] | None = None
    tokens: tuple[int, int] = (0, 0)


async def by_graph(server: Server, chat: Chat, ends: float) -> AsyncGenerator[Piece, None]:
    """What the graph writes, sentence by sentence, or else lists; the answer itself goes along."""
    version = server.version
    row, size = row_of(version, chat), sum(len(text) for _, text in chat.turns)
    so_far, sent = Answer(), ""
    async with aclosing(asking.told(server, row, size=size, ends=ends)) as told:
        async for part in told:
            if isinstance(part, Reply):
                text = written(version, part.answer)
                yield Piece(text.removeprefix(sent) if text.startswith(sent) else f"\n{text}")
                answer = {"version": part.version, "answer": part.answer, "answered_by": part.answered_by}
                yield Piece(finish="stop", extra=answer)
                continue
            first, so_far = not so_far, so_far | part.answer
            text = "\n".join(_texts(version, so_far))
            if first or (text.startswith(sent) and text != sent):
                extra = {"version": part.version, "answer": part.answer} if first else None
                yield Piece(text.removeprefix(sent), extra=extra)
                sent = text


def row_of(version: Version, chat: Chat) -> dict[str, Any]:
    """The event that a chat is: who asks, what, and further fields in `metadata` (texts) and in `ask` (any).

    A text that a model reads as a conversation is given all turns; else the first text is given the last message.
    """
    conversation, reference = parts.conversation(version), version.event.first_reference()
    text = conversation or parts.first_text(version)
    said = {text: _all_turns(chat) if conversation else chat.question} if text else {}
    asks = {reference: chat.user} if reference and chat.user else {}
    return {**said, **asks, **chat.metadata, **chat.ask}


def _all_turns(chat: Chat) -> str:
    return turns.joined([turns.Turn(text, role == "assistant") for role, text in chat.turns if role != "system"])


def written(version: Version, answer: Answer) -> str:
    """The graph's texts; where none is written, the first candidates line by line; else the answer as JSON."""
    texts, late = _texts(version, answer), parts.late_text(version)
    if late and answer[late]:
        return "\n".join(texts)
    outputs = version.outline.answered.items()
    listed = next((name for name, column in outputs if isinstance(column, Candidates)), None)
    if listed is None:
        return "\n".join(texts) or json.dumps(answer, ensure_ascii=False)
    # An item is its key, its first text if it has one, and its score.
    return "\n".join([*texts, *(f"{i}. {list(item.values())[-2]}" for i, item in enumerate(answer[listed], 1))])


def _texts(version: Version, answer: Answer) -> list[str]:
    """What is said, as far as it is there: the texts that are there at once, then the one that is written."""
    names = [*parts.early_texts(version), *filter(None, [parts.late_text(version)])]
    return [str(answer[name]) for name in names if answer.get(name)]


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


async def counted(
    chat: Chat, pieces: AsyncGenerator[Piece, None], most: int | None = None
) -> AsyncGenerator[Piece, None]:
    """The pieces as far as so many tokens go, and at the end how many there were, reckoned where no model counts them.

    What is cut off is waited for all the same: the last piece tells a program the whole answer.
    """
    said, cut = "", False
    async with aclosing(pieces):
        async for piece in pieces:
            text = piece.text if most is None else "" if cut else kept(piece.text, most, said)
            said, cut = said + text, cut or text != piece.text
            if piece.finish:
                read, made = piece.tokens
                tokens = read or sum(reckoned(each) for _, each in chat.turns), made or reckoned(said)
                yield replace(piece, text=text, finish="length" if cut else piece.finish, tokens=tokens)
            elif text or piece.extra is not None:
                yield replace(piece, text=text)


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
