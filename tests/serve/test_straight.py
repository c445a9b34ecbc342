"""What goes past Starlette, and what does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from motet.errors import DataError
from motet.serve.straight import Straight


async def ask(request: Request) -> Response:
    if request.query_params:
        raise DataError("too much is asked", help="ask less")
    return PlainTextResponse("asked")


async def beside(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("beside")(scope, receive, send)


def said(method: str, path: str, query: bytes = b"") -> tuple[dict[str, Any], int, bytes]:
    """The scope as it was left, the status and the body."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "query_string": query, "headers": []}
    asyncio.run(Straight(beside, Route("/v1/ask", ask, methods=["POST"]))(scope, receive, send))
    return scope, sent[0]["status"], sent[1]["body"]


def test_what_is_posted_to_the_path_goes_straight_and_is_counted_under_it() -> None:
    scope, status, body = said("POST", "/v1/ask")
    assert (status, body) == (200, b"asked")
    assert scope["route"].path == "/v1/ask"


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/ask"), ("POST", "/v1/asks"), ("POST", "/v1/ask/")])
def test_all_else_goes_to_the_application(method: str, path: str) -> None:
    assert said(method, path)[1:] == (200, b"beside")


def test_an_error_is_a_problem_that_says_what_to_change() -> None:
    _, status, body = said("POST", "/v1/ask", b"much=1")
    assert status == 422
    assert b"too much is asked" in body
    assert b"ask less" in body
