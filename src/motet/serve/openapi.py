"""What there is to be called, as an OpenAPI 3.1 document and as a page for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from motet.serve import page
from motet.serve.http import json_reply
from motet.serve.operations import PROBLEM, Paths, get
from motet.serve.schemas import TEXT, object_of
from motet.serve.server import Server

NOTHING_ELSE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


class Spoken(Protocol):
    """A protocol that a graph is served by: a module with its routes and what they take and give."""

    def routes(self, server: Server) -> Sequence[Route]: ...
    def paths(self, server: Server) -> Paths: ...


def routes(server: Server, protocols: Iterable[Spoken]) -> list[Route]:
    """protocols: those that the document is about."""
    spoken = list(protocols)

    async def openapi(request: Request) -> Response:
        return json_reply(document(server, spoken))

    async def docs(request: Request) -> Response:
        return Response(page.html(document(server, spoken)), media_type="text/html", headers=NOTHING_ELSE)

    return [Route("/openapi.json", openapi), Route("/docs", docs)]


def document(server: Server, protocols: Iterable[Spoken]) -> dict[str, Any]:
    """The document as it is now: a newer version may know other keys."""
    paths: dict[str, Any] = {}
    for protocol in protocols:
        paths |= protocol.paths(server)
    return {
        "openapi": "3.1.0",
        "info": {"title": server.name, "version": str(server.version.number), "description": _about(server)},
        "paths": {**paths, **_watched()},
        "components": {"schemas": {"Problem": PROBLEM}},
    }


def _about(server: Server) -> str:
    outputs = ", ".join(server.version.outline.answered)
    return f"Answers {server.version.event.__name__} with {outputs}."


def _watched() -> Mapping[str, Any]:
    """What those read who watch over the server."""
    status = object_of({"status": {"type": "string"}})
    return {
        "/health/live": get("Whether the process runs", status),
        "/health/ready": get("Whether it takes requests", status, {"503": "it is draining"}, problem=status),
        "/metrics": get("What is counted, as Prometheus reads it", TEXT, media="text/plain"),
    }
