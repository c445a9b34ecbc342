"""What every request passes on its way in and out: it is let in, counted and traced."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from motet.serve.app import refusal
from motet.serve.keys import HELP, Keys
from motet.serve.problems import Refused
from motet.serve.trace import SPAN, Traces

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from motet.serve.server import Server

FREE = ("/health/", "/v2/health/", "/console/")  # who watches the server needs no key, nor do pages that hold nothing
DOORS = ("/", "/console")  # they lead to the console


class Gate:
    """An ASGI application around another. keys: what a client must show, None where anybody may ask."""

    def __init__(self, app: ASGIApp, server: Server, keys: Keys | None = None, traces: Traces | None = None) -> None:
        self._app, self._server, self._keys, self._traces = app, server, keys, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def out(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if not self._server.ready:
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        span = self._traces and self._traces.begin(scope["method"], scope["headers"])
        token = SPAN.set(span) if span else None
        try:
            app = _elsewhere if _from_elsewhere(scope) else self._app if self._may(scope) else _no_key
            await app(scope, receive, out)
        finally:
            route: Any = scope.get("route")
            path = route.path if route else "other"
            self._server.metrics.request(path, status, time.perf_counter() - began)
            if token:
                SPAN.reset(token)
            if self._traces:
                self._traces.end(span, scope["method"], path, status)

    def _may(self, scope: Scope) -> bool:
        if self._keys is None or scope["path"] in DOORS or scope["path"].startswith(FREE):
            return True
        return self._keys.allow(scope["headers"])


async def _no_key(scope: Scope, receive: Receive, send: Send) -> None:
    what, headers = "a key is needed, and none that is known was shown", {"WWW-Authenticate": "Bearer"}
    await refusal(scope["path"], Refused(401, what, HELP, headers))(scope, receive, send)


def _from_elsewhere(scope: Scope) -> bool:
    """Whether a page of another site would change or use something here, as browsers say of what it sends."""
    return scope["method"] != "GET" and (b"sec-fetch-site", b"cross-site") in scope["headers"]


async def _elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    what, help = "a page of another site asks", "ask from your own server, or from the console"
    await refusal(scope["path"], Refused(403, what, help))(scope, receive, send)
