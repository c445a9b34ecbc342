"""The graph's own endpoint: an event without its outcomes in, the graph's outputs out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from motet.serve import asking, http, problems, schemas
from motet.serve.engine import Reply
from motet.serve.operations import Paths, post
from motet.serve.schemas import object_of
from motet.serve.server import Early, Server


def routes(server: Server) -> list[Route]:
    async def ask(request: Request) -> Response:
        body = await http.body_of(request)
        row = http.object_in(body)
        ends = http.ends(request, server.limits.seconds)
        if "text/event-stream" in (http.header(request, b"accept") or ""):
            parts = asking.told(server, row, size=len(body), ends=ends)
            # The first one before any reply, so that what goes wrong until then has a status of its own.
            first = await http.while_there(request, anext(parts))
            return http.events_reply(_stream(first, parts, request))
        return _said(await http.while_there(request, server.ask(row, size=len(body), ends=ends)))

    return [Route("/v1/ask", ask, methods=["POST"])]


def paths(server: Server) -> Paths:
    version = server.version
    by = {"type": "object", "additionalProperties": {"type": "string"}, "description": "per alternative, who answered"}
    how_likely = {"type": "number", "description": "how likely it was that this version would answer"}
    reply = object_of(
        {
            "version": {"type": "integer"},
            "propensity": how_likely,
            "answer": schemas.answered(version),
            "answered_by": by,
        }
    )
    ask = post(
        f"The graph's outputs for one {version.event.__name__} that is arriving now",
        schemas.asked(version),
        reply,
        example=schemas.example(version),
        content={"text/event-stream": {"schema": {"type": "string", "description": "outputs as they come"}}},
    )
    return {"/v1/ask": ask}


def _said(reply: Reply) -> Response:
    return http.json_reply({**_whose(reply), "answer": reply.answer, "answered_by": reply.answered_by})


def _whose(reply: Reply) -> dict[str, Any]:
    return {"version": reply.version, "propensity": reply.propensity}


async def _stream(
    first: Early | Reply, parts: AsyncGenerator[Early | Reply, None], request: Request
) -> AsyncIterator[tuple[str, Any]]:
    """`answer` events with the outputs as they come, a late text as far as it is written each time, then `done` with
    who answered; or one `problem`."""
    async with aclosing(parts):
        sent = dict[str, Any]()
        for event in _told(first, sent):
            yield event
        try:
            async for part in parts:
                for event in _told(part, sent):
                    yield event
        except Exception as error:
            response = await problems.refused(request, error)
            yield "problem", bytes(response.body)


def _told(part: Early | Reply, sent: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a part says that was not sent yet, which is sent then."""
    new = {name: value for name, value in part.answer.items() if name not in sent or sent[name] != value}
    sent |= part.answer
    if new:
        yield "answer", new
    if isinstance(part, Reply):
        yield "done", {**_whose(part), "answered_by": part.answered_by}
