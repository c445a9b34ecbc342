"""What goes wrong, as JSON problem details (RFC 9457): a sentence, and what to change. Never a trace or a path."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from motet.errors import DataError, GraphError, RunError
from motet.serve.engine import Overloaded

PATH = re.compile(r"(?<![\w.])/(?:[\w.+-]+/)+[\w.+-]*")  # of a file or folder: no client's business


class Refused(Exception):
    """A request that cannot be answered as it is. help: what to change. headers: of the reply."""

    def __init__(self, status: int, detail: str, help: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.help, self.headers = status, detail, help, headers or {}


def problem(status: int, detail: str, help: str = "", headers: dict[str, str] | None = None) -> Response:
    found: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    found["detail"] = PATH.sub("a file", detail)
    if help:
        found["help"] = PATH.sub("a file", help)
    return Response(msgspec.json.encode(found), status, headers, "application/problem+json")


async def refused(request: Request, error: Exception) -> Response:
    """The reply to an error, whatever it is."""
    if isinstance(error, Refused):
        return problem(error.status, error.detail, error.help, error.headers)
    if isinstance(error, Overloaded):
        return problem(429, str(error), headers={"Retry-After": str(round(error.seconds))})
    if isinstance(error, (DataError, GraphError)):
        return problem(422, error.what, error.help)
    if isinstance(error, TimeoutError):
        return problem(504, "there was no answer by the deadline", "allow more time: Request-Timeout: 10")
    if isinstance(error, RunError):
        return problem(503, error.what)
    return problem(500, "the server failed; its log says why")
