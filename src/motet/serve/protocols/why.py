"""Why an answer holds its items: for people who look at it, and not for what is asked often."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from motet import intake
from motet.serve import http, schemas
from motet.serve.operations import Paths, post
from motet.serve.schemas import object_of
from motet.serve.server import Server
from motet.serve.threads import Threads
from motet.serve.version import Version
from motet.why import rankings, why


def routes(server: Server) -> list[Route]:
    threads = Threads(1)  # what is asked for beside answers takes none of their threads

    async def reasons(request: Request) -> Response:
        row, version = await http.object_of(request), server.version

        intake.check(version.event, row, version.context.entities())
        work = threads.run(
            lambda: why(version.outline, version.context, [row], _told(version)),
            http.ends(request, server.limits.seconds),
        )
        return http.json_reply({"version": version.number, "why": (await http.while_there(request, work))[0]})

    return [Route("/v1/why", reasons, methods=["POST"])] if _told(server.version) else []


def paths(server: Server) -> Paths:
    version = server.version
    if not _told(version):
        return {}
    places = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}}
    item = {"type": "object", "properties": {"by": places}, "required": ["by"]}
    lists = object_of({name: {"type": "array", "items": item} for name in _told(version)})
    asked = post(
        "The places that an answer's items have by each of the scorers that found them",
        schemas.asked(version),
        object_of({"version": {"type": "integer"}, "why": lists}),
        example=schemas.example(version),
    )
    return {"/v1/why": asked}


def _told(version: Version) -> list[str]:
    return [name for name in rankings(version.outline) if name not in version.late]
