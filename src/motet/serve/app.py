"""All endpoints of a served graph as one ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from motet.console import pages
from motet.serve import openapi, problems
from motet.serve.http import json_reply
from motet.serve.metrics import CONTENT
from motet.serve.problems import Refused
from motet.serve.protocols import events, facts, inference, openai, own, why
from motet.serve.server import Server
from motet.serve.straight import Straight

if TYPE_CHECKING:
    from starlette.types import ASGIApp

PROTOCOLS: tuple[openapi.Spoken, ...] = (own, why, events, facts, openai, inference)
SHAPED = (openai, inference)  # those whose clients read errors in a form of their own


def application(server: Server) -> ASGIApp:
    """All endpoints; the graph's own is found first."""
    return Straight(routed(server), *own.routes(server))


def routed(server: Server) -> Starlette:
    @asynccontextmanager
    async def running(app: Starlette) -> AsyncGenerator[None]:
        await server.start()
        yield
        await server.stop()

    async def live(request: Request) -> Response:
        return json_reply({"status": "live"})

    async def ready(request: Request) -> Response:
        return json_reply({"status": "ready" if server.ready else "draining"}, 200 if server.ready else 503)

    async def metrics(request: Request) -> Response:
        return Response(await asyncio.to_thread(server.metrics.text), media_type=CONTENT)

    return Starlette(
        routes=[
            *[route for protocol in PROTOCOLS for route in protocol.routes(server)],
            Route("/health/live", live),
            Route("/health/ready", ready),
            Route("/metrics", metrics),
            *openapi.routes(server, PROTOCOLS),
            *pages.routes(),
        ],
        lifespan=running,
        exception_handlers={
            HTTPException: _no_such_thing,
            **dict.fromkeys((Exception, *problems.KNOWN), problems.refused),
        },
    )


async def _no_such_thing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers, detail = dict(error.headers or {}), error.detail
    help = "GET /openapi.json lists what there is" if error.status_code == 404 else ""
    if error.status_code == 405:
        detail, help = f"{request.method} is not taken here", f"this path takes {headers['Allow']}"
    if request.headers.get("upgrade", "").lower() == "websocket":
        help = "WebSockets are not spoken: POST /v1/ask with Accept: text/event-stream is told as it comes"
    return refusal(request.url.path, Refused(error.status_code, detail, help, headers))


def refusal(path: str, error: Refused) -> Response:
    """The reply to what no endpoint has taken, as those read it who ask for such a path."""
    for protocol in SHAPED:
        if protocol.speaks(path):
            return protocol.refusal(error)
    # What OpenAI's clients may call and is not there, they should be able to tell too.
    more = openai.error_of(error) if path.startswith("/v1/") and error.status == 404 else None
    return problems.problem(error.status, error.detail, error.help, error.headers, more)
