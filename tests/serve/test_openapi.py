"""What the document promises is what the server does, whatever it is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import hypothesis
import pytest
import schemathesis
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from motet.serve.app import routed
from motet.serve.log import Log
from motet.serve.log_sqlite import SqliteJournal
from tests.serve.llm_endpoint import speaking, writing
from tests.serve.served import Served, prepared, served

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
HIDDEN = {"/v2/{rest}", "/openapi.json", "/docs", "/", "/console", "/console/{name}"}  # nothing for programs
QUIET = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much]


@pytest.fixture(scope="module")
def shop_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("store")
    with served(prepared(folder), log=Log(SqliteJournal(folder / "events.sqlite"))) as running:
        yield running


def test_the_ask_is_the_event_without_its_outcomes(shop_server: Served) -> None:
    document = shop_server.call("GET", "/openapi.json").json
    ask = document["paths"]["/v1/ask"]["post"]
    body = ask["requestBody"]["content"]["application/json"]
    assert set(body["schema"]["properties"]) == {"buyer", "at", "search", "amount"}
    assert body["schema"]["required"] == ["buyer", "amount"]
    assert body["schema"]["properties"]["search"]["default"] == ""
    assert shop_server.call("POST", "/v1/ask", body["example"]).status == 200
    answer = ask["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["answer"]
    assert answer["properties"]["top"]["maxItems"] == 3
    assert set(answer["properties"]["top"]["items"]["properties"]) == {"item_id", "name", "score"}


def test_everything_that_is_there_is_in_the_document(shop_server: Served) -> None:
    routes = [route for route in routed(shop_server.server).routes if isinstance(route, Route)]
    there = {route.path.replace(":text}", "}") for route in routes} - HIDDEN
    versioned = {path for path in there if "/versions/" in path}  # the same as without a version
    assert set(shop_server.call("GET", "/openapi.json").json["paths"]) >= there - versioned - {"/v1/embeddings"}


def test_the_page_shows_every_path_and_needs_nothing_else(shop_server: Served) -> None:
    links: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            links.extend(value or "" for name, value in attrs if name in ("href", "src"))

    page = shop_server.call("GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    Links().feed(page.body.decode())
    assert links == ["/openapi.json"]
    for path in shop_server.call("GET", "/openapi.json").json["paths"]:
        assert path in page.body.decode()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_whatever_is_sent_is_answered_as_the_document_says(tmp_path: Path) -> None:
    with speaking() as endpoint, _served(tmp_path, endpoint.url) as running:
        wrong = _all_tried(f"{running.url}/openapi.json")
    assert not wrong, "\n\n".join(wrong)


def _served(folder: Path, url: str) -> contextlib.AbstractContextManager[Served]:
    """A graph that has everything which can be spoken to."""
    return served(prepared(folder / "store", writing(url)), log=Log(SqliteJournal(folder / "events.sqlite")))


def _all_tried(url: str) -> list[str]:
    schema = schemathesis.openapi.from_url(url)
    wrong: list[str] = []
    for found in schema.get_all_operations():
        operation = cast(Any, found).ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            wrong += _tried(operation, mode)
    return wrong


def _tried(operation, mode: GenerationMode) -> list[str]:
    """What is wrong with one operation's replies to generated requests."""

    sent: list[Any] = []

    @hypothesis.settings(max_examples=25, database=None, suppress_health_check=QUIET)
    @hypothesis.seed(1)
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def each(case) -> None:
        sent.append(case)
        if mode is GenerationMode.POSITIVE and case.headers:
            case.headers["Request-Timeout"] = "5"  # that there is no answer within 1e-300 s is no failure
        case.call_and_validate(checks=CHECKS, timeout=10)

    try:
        each()
    except FailureGroup as group:
        said = sent[-1].as_curl_command()
        return [f"{operation.label} {mode.value}: {failure}\n{said}" for failure in group.exceptions]
    except Unsatisfiable:
        return []  # nothing can be wrong with a request that takes nothing
    return []
