"""Reading requests and writing replies: bodies with limits, JSON, and events that are sent as they come."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar, cast

import msgspec
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from motet.serve.problems import Refused

BODY = 4 << 20  # bytes of a body at most
READING = 10.0  # seconds that a client has to send its body
DEADLINE = "Request-Timeout"  # header: seconds that the client waits for an answer
TIMEOUT = DEADLINE.lower().encode()
LONGEST = 600.0
T = TypeVar("T")
LESS = "send less at once"
CLOSE = {"Connection": "close"}
PLAIN = "identity"  # the Content-Encoding of what is not packed
HALF = re.compile(rb"(?<!\\)\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u).", re.DOTALL)  # the first of a pair, alone


class AnyText(Convertor[str]):
    """A name in a path, whatever letters it has: /v2/models/{name:text}/infer."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("text", AnyText())


async def body_of(request: Request, most: int = BODY) -> bytes:
    """The whole body. Refused: longer than `most`, not sent in time, or packed.

    What is too long is read to its end and dropped: a client that is still sending would not hear why.
    """
    parts, size, more = list[bytes](), 0, True
    try:
        async with asyncio.timeout(READING):
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "the client closed the connection before its body was sent", headers=CLOSE)
                part, more = message.get("body", b""), message.get("more_body", False)
                size += len(part)
                if size <= most:
                    parts.append(part)
    except TimeoutError:
        raise Refused(408, f"the body was not there within {READING:g} s", LESS, CLOSE) from None
    if size > most:
        raise Refused(413, f"the body is longer than {most:,} bytes", LESS)
    if (packed := header(request, b"content-encoding") or PLAIN).lower() != PLAIN:
        raise Refused(415, f"Content-Encoding: {packed} is not taken", "send it unpacked", {"Accept-Encoding": PLAIN})
    return b"".join(parts)


def header(request: Request, name: bytes) -> str | None:
    """A header, by its name in small letters. Starlette's own look-up takes several times as long."""
    for given, value in request.scope["headers"]:
        if given == name:
            return value.decode("latin-1")
    return None


def decoded(body: bytes) -> Any:
    """The JSON value of a body. Refused: it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = _no_json(body, str(error))
        raise Refused(400, f"the body is no JSON: {why}", 'send an object: {"field": value}') from None
    except RecursionError:
        raise Refused(400, "the body is nested too deeply", 'send an object: {"field": value}') from None


def _no_json(body: bytes, said: str) -> str:
    """Why a body is none. The decoder counts bytes from a text's beginning, and half a character is its end to it."""
    if not body.strip():
        return "it is empty"
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"byte {error.start} ({body[error.start]:#04x}) is no UTF-8"
    if "surrogate" in said or ("truncated" in said and HALF.search(body)):
        return r"it holds half a character: \ud800 to \udfff are written in pairs"
    return said


async def object_of(request: Request, most: int = BODY) -> dict[str, Any]:
    """The JSON object that is the body. Refused: it is another value, or none."""
    return object_in(await body_of(request, most))


def object_in(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Refused: it is another value, or none."""
    found = decoded(body)
    if not isinstance(found, dict):
        raise Refused(400, "the body is no JSON object", 'send an object: {"field": value}')
    return cast("dict[str, Any]", found)


async def while_there(request: Request, work: Awaitable[T]) -> T:
    """What the work gives. It is ended where the client leaves before. For a request whose body is read."""
    mine, working = asyncio.current_task(), True
    gone = asyncio.ensure_future(_gone(request))

    def end(task: asyncio.Task[None]) -> None:
        if mine is not None and working and not task.cancelled():
            mine.cancel()

    gone.add_done_callback(end)
    try:
        return await work
    except asyncio.CancelledError:
        if mine is None or not gone.done() or mine.uncancel():
            raise
        raise Refused(400, "the client closed the connection before it was answered", headers=CLOSE) from None
    finally:
        working = False
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def ends(request: Request, usual: float) -> float:
    """When the request's time is over, as time.monotonic() tells it."""
    given = header(request, TIMEOUT)
    if given is None:
        return time.monotonic() + usual
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LONGEST:
        raise Refused(400, f"{DEADLINE}: {given!r} is no number of seconds up to {LONGEST:g}", f"{DEADLINE}: 2.5")
    return time.monotonic() + seconds


def json_reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def events_reply(events: AsyncIterator[tuple[str, Any]]) -> Response:
    """Server-sent events, (name, JSON value) each; an event without a name is data alone."""

    async def lines() -> AsyncIterator[bytes]:
        async for name, value in events:
            data = value if isinstance(value, bytes) else msgspec.json.encode(value)
            yield (f"event: {name}\n".encode() if name else b"") + b"data: " + data + b"\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
