"""The parts that an OpenAPI document is put together from."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from motet.serve.http import DEADLINE, LONGEST

Paths = Mapping[str, Any]
Schema = Mapping[str, Any]

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
PROBLEM: Schema = {
    "type": "object",
    "description": "what is wrong, and what to change (RFC 9457)",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "help": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}
A_PROBLEM: Schema = {"$ref": "#/components/schemas/Problem"}
REFUSED = (400, 401, 408, 413, 415, 422, 429, 503, 504)
WAITS: Schema = {
    "name": DEADLINE,
    "in": "header",
    "description": "seconds that the client waits for an answer",
    "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST},
}


def post(
    summary: str,
    body: Schema,
    reply: Schema,
    *,
    example: Any = None,
    problems: Paths | None = None,
    content: Paths | None = None,
    parameters: list[Schema] | None = None,
) -> Paths:
    """A path that takes a JSON body. content: what it also answers with, by media type. problems: its refusals."""
    media: dict[str, Any] = {"schema": body} if example is None else {"schema": body, "example": example}
    return {
        "post": {
            "summary": summary,
            "parameters": [*(parameters or []), WAITS],
            "requestBody": {"required": True, "content": {JSON: media}},
            "responses": {**_said(reply, content), **(refusals() if problems is None else problems)},
        }
    }


def get(
    summary: str,
    reply: Schema,
    others: Mapping[str, str] | None = None,
    *,
    problem: Schema | None = None,
    parameters: list[Schema] | None = None,
    media: str = JSON,
) -> Paths:
    """A path that is only read. others: further statuses, said as `problem`. media: what the reply is."""
    failed = {
        status: {"description": about, "content": {JSON: {"schema": problem or {}}}}
        for status, about in (others or {}).items()
    }
    made: dict[str, Any] = {"summary": summary, "responses": {**_said(reply, media=media), **failed}}
    return {"get": {**made, "parameters": parameters} if parameters else made}


def refusals(
    statuses: tuple[int, ...] = REFUSED, schema: Schema = A_PROBLEM, media: str = PROBLEM_JSON
) -> dict[str, Any]:
    """What a call may be refused with. Who shows no key is told so before any protocol has its say."""
    said = {status: {media: {"schema": schema}} for status in statuses} | {401: {PROBLEM_JSON: {"schema": A_PROBLEM}}}
    return {str(status): {"description": HTTPStatus(status).phrase, "content": said[status]} for status in said}


def _said(reply: Schema, content: Paths | None = None, media: str = JSON) -> dict[str, Any]:
    return {"200": {"description": "the answer", "content": {media: {"schema": reply}, **(content or {})}}}
