"""The endpoint that nearly all requests are for, reached past Starlette's middleware and routing.

They take as long as the endpoint itself, and what they do for it is little: one path, one method, one kind of error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from motet.serve.problems import refused

if TYPE_CHECKING:
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send


class Straight:
    """An ASGI application around another, which gets all that is not POSTed to the route's path."""

    def __init__(self, app: ASGIApp, route: Route) -> None:
        self._app, self._route = app, route
        self._endpoint: Callable[[Request], Awaitable[Response]] = route.endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._route.path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        request = Request(scope, receive)
        try:
            response = await self._endpoint(request)
        except Exception as error:
            response = await refused(request, error)
        await response(scope, receive, send)
