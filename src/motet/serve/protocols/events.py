"""Events that have happened: kept durably before the reply, and in every past that is asked after it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from motet.record import Event
from motet.serve import events, http, schemas
from motet.serve.journal import Conflict, Unavailable
from motet.serve.log import Log
from motet.serve.operations import JSON, REFUSED, Paths, post, refusals
from motet.serve.problems import Refused
from motet.serve.schemas import object_of
from motet.serve.server import Server
from motet.serve.version import Version

FEW = 16  # events that are checked at once; more would keep other requests waiting
GONE = "the event log cannot be written now; nothing of this request is acknowledged"
REPLY = object_of(
    {
        "accepted": {"type": "integer", "description": "events that are kept now"},
        "repeated": {"type": "integer", "description": "events that were there already"},
        "ids": {"type": "array", "items": {"type": "string"}, "description": "of every event, in their order"},
    }
)


def routes(server: Server) -> list[Route]:
    log = server.log
    if log is None:
        return []

    async def happened(request: Request) -> Response:
        posted = events.read(await http.body_of(request))
        ends = http.ends(request, server.limits.seconds)
        version = server.version
        given = posted, _kinds(version), version.context.entities(), round(time.time() * 1e6) / 1e6
        kept = events.checked(*given) if len(posted) <= FEW else await asyncio.to_thread(events.checked, *given)
        new = await _kept(log, kept, ends)
        server.metrics.events.inc(new)
        reply = {"accepted": new, "repeated": len(kept) - new, "ids": [event.id for event in kept]}
        return http.json_reply(reply, 201 if new else 200)

    return [Route("/v1/events", happened, methods=["POST"])]


def paths(server: Server) -> Paths:
    version = server.version
    one = [_schema(event, version) for event in _kinds(version).values()]
    any_one = one[0] if len(one) == 1 else {"anyOf": one}
    made: Any = post(
        "Keeps events that have happened, outcomes included: durably before the reply, and each id once. Later asks "
        "see them; one whose time lies ahead (by a day at most, as clocks differ) once that has come",
        {"anyOf": [any_one, {"type": "array", "items": any_one, "minItems": 1, "maxItems": events.MOST}]},
        REPLY,
        problems=refusals((*REFUSED, 409)),
    )
    replies = made["post"]["responses"]
    replies["200"]["description"] = "every event was there already"
    replies["201"] = {"description": "new events are kept", "content": {JSON: {"schema": REPLY}}}
    return {"/v1/events": made} if server.log is not None else {}


async def _kept(log: Log, kept: list[events.Happened], ends: float) -> int:
    try:
        async with asyncio.timeout(max(0.0, ends - time.monotonic())):
            return await asyncio.wrap_future(log.append(kept))
    except Conflict as error:
        raise Refused(409, str(error), "give another event another id") from None
    except Unavailable:
        raise Refused(
            503, GONE, "send it again with the same ids: what is kept counts once", {"Retry-After": "1"}
        ) from None


def _kinds(version: Version) -> dict[str, type[Event]]:
    return {event.__name__: event for event in version.context.data.seen}


def _schema(event: type[Event], version: Version) -> dict[str, Any]:
    """An event as it may be posted."""
    names, optional = list(event.fields), {n for n, spec in event.specs.items() if spec.outcome} | {event.time_field()}
    made = schemas.fields_of(event, names, version.context.entities(), optional)
    alone = len(_kinds(version)) == 1
    beside = {
        "id": {"type": "string", "minLength": 1, "maxLength": events.LONGEST, "description": "the same id counts once"},
        "type": {"enum": [event.__name__]},
    }
    if events.nested(event):
        needed = ("fields",) if alone else ("type", "fields")
        return {**object_of({**beside, "fields": made}, required=needed), "additionalProperties": False}
    needed = [*made.get("required", []), *([] if alone else ["type"])]
    return {**made, "properties": {**beside, **made["properties"]}, **({"required": needed} if needed else {})}
