"""What goes wrong, as JSON problem details (RFC 9457): a sentence, and what to change. Never a trace or a path."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from motet.errors import DataError, GraphError, RunError
from motet.serve.engine import Overloaded

LOG = logging.getLogger("motet.serve")
# Of a file or folder, which is no client's business; what it may call is.
PATH = re.compile(r"(?<![\w.])/(?!v[12]/)(?:[\w.+-]+/)+[\w.+-]*")
LONG = 4_000  # characters of a sentence


class Refused(Exception):
    """A request that cannot be answered as it is. help: what to change. headers: of the reply."""

    def __init__(self, status: int, detail: str, help: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.help, self.headers = status, detail, help, headers or {}


def problem(
    status: int,
    detail: str,
    help: str = "",
    headers: dict[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """more: members that clients of another protocol read."""
    found: dict[str, Any] = {
        **(more or {}),
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
    }
    found["detail"] = told(detail if len(detail) <= LONG else detail[:LONG] + " ...")
    if help:
        found["help"] = told(help)
    return Response(msgspec.json.encode(found), status, headers, "application/problem+json")


def told(text: str) -> str:
    """What a client may read of it."""
    return PATH.sub("a file", text)


async def refused(request: Request, error: Exception) -> Response:
    """The reply to an error, whatever it is."""
    noted(request, error)
    found = of(error)
    return problem(found.status, found.detail, found.help, found.headers)


def noted(request: Request, error: Exception) -> None:
    """Logs what is the server's own failure, of which the client learns no more than that it is one."""
    if not isinstance(error, KNOWN):
        LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)


def of(error: Exception) -> Refused:
    """What an error means to a client, in whatever form its protocol says it."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, Overloaded):
        return Refused(429, str(error), headers={"Retry-After": str(round(error.seconds))})
    if isinstance(error, (DataError, GraphError)):
        return Refused(422, error.what, error.help)
    if isinstance(error, TimeoutError):
        return Refused(504, "there was no answer by the deadline", "allow more time: Request-Timeout: 10")
    if isinstance(error, RunError):
        return Refused(503, error.what)
    if isinstance(error, RecursionError):
        return Refused(400, "the body is nested too deeply", 'send an object: {"field": value}')
    return Refused(500, "the server failed; its log says why")


KNOWN = (Refused, Overloaded, DataError, GraphError, RunError, TimeoutError, RecursionError)
"""The errors that are replies; any other is the server's own failure and is logged."""
