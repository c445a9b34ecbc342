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
from motet.serve.protocols import events, facts, inference, openai, own, why
from motet.serve.server import Server
from motet.serve.straight import Straight

if TYPE_CHECKING:
    from starlette.types import ASGIApp

PROTOCOLS: tuple[openapi.Spoken, ...] = (own, why, events, facts, openai, inference)


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
    return problems.problem(error.status_code, detail, help, headers)
