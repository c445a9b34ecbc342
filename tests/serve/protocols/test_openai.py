"""The official client speaks to a graph, to its language model and to its embedder."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

import motet as mt
from motet.llm import Reply
from motet.llm.openai import Endpoint as Runtime
from motet.serve import parts
from motet.serve.beside import Share
from motet.serve.protocols.tokens import kept, reckoned
from motet.serve.server import Beside
from tests.serve.llm_endpoint import SENTENCE, Endpoint, speaking, writing
from tests.serve.served import NAME, Served, prepared, served
from tests.serve.test_versions import mood, town
from tests.shop import Purchase
from tests.test_late import Slow

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "tea"}]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with speaking() as running:
        yield running


@pytest.fixture(scope="module")
def writer(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(prepared(tmp_path_factory.mktemp("store"), writing(endpoint.url))) as running:
        yield running


@pytest.fixture
def client(writer: Served, endpoint: Endpoint) -> Iterator[openai.OpenAI]:
    endpoint.pause = 0.0
    endpoint.left.clear()
    with openai.OpenAI(base_url=f"{writer.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_the_graph_its_language_model_and_its_embedder_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["goods", "tiny", "minilm-l6"]
    assert client.models.retrieve("tiny").object == "model"
    with pytest.raises(openai.NotFoundError, match="did you mean 'goods'"):
        client.models.retrieve("good")


def test_the_graph_writes_and_its_answer_goes_along(client: openai.OpenAI, writer: Served) -> None:
    said = client.chat.completions.create(
        model="goods", messages=HELLO, user="b3", extra_body={"ask": {"amount": 3.0, "at": 2_000_000}}
    )
    whole = writer.ask(buyer="b3", search="tea", amount=3.0, at=2_000_000).json
    extra: Any = said.model_extra
    assert extra["motet"]["answer"]["top"] == whole["answer"]["top"]
    assert extra["motet"]["answered_by"] == whole["answered_by"]
    assert said.choices[0].message.content == whole["answer"]["reply"]
    assert "number" in whole["answer"]["reply"]


def test_a_graph_that_reads_no_conversation_is_asked_the_last_message(client: openai.OpenAI) -> None:
    turns: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": "cup"},
        {"role": "assistant", "content": "pot"},
        *HELLO,
    ]
    fields: Any = {"ask": {"amount": 3.0, "at": 2_000_000}}
    long, short = (
        client.chat.completions.create(model="goods", messages=each, user="b3", extra_body=fields)
        for each in (turns, HELLO)
    )
    assert (long.model_extra or {})["motet"]["answer"] == (short.model_extra or {})["motet"]["answer"]


def test_fields_come_as_metadata_too(client: openai.OpenAI) -> None:
    said = client.chat.completions.create(model="goods", messages=HELLO, metadata={"buyer": "b3", "amount": "3"})
    assert said.choices[0].finish_reason == "stop"


def test_a_graph_that_writes_nothing_lists_what_it_found(tmp_path: Path) -> None:
    with served(prepared(tmp_path)) as running, openai.OpenAI(base_url=f"{running.url}/v1", api_key="none") as client:
        said = client.chat.completions.create(
            model="goods", messages=HELLO, user="b3", extra_body={"ask": {"amount": 3.0}}
        )
        top = running.ask(buyer="b3", search="tea", amount=3.0).json["answer"]["top"]
        assert said.choices[0].message.content == "\n".join(f"{i}. {item['name']}" for i, item in enumerate(top, 1))


def test_the_graph_streams_its_answer_before_its_text(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="goods",
        messages=HELLO,
        user="b3",
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ask": {"amount": 3.0}},
    )
    chunks = list(stream)
    first: Any = chunks[0].model_extra
    assert set(first["motet"]["answer"]) == {"top", "near"}
    last: Any = chunks[-2].model_extra
    assert set(last["motet"]["answer"]) == {"top", "near", "reply"}
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == last["motet"]["answer"]["reply"]
    assert chunks[-1].usage is not None


ASK: Any = {"model": "goods", "messages": HELLO, "user": "b3", "extra_body": {"ask": {"amount": 3.0}}}


def test_the_graph_says_as_many_tokens_as_are_asked_for(client: openai.OpenAI) -> None:
    create: Any = client.chat.completions.create
    whole = create(**ASK)
    text = whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (1, reckoned(text))
    for name in ("max_tokens", "max_completion_tokens"):
        short = create(**ASK, **{name: 3})
        assert short.choices[0].finish_reason == "length"
        assert short.choices[0].message.content == kept(text, 3)
        assert text.startswith(short.choices[0].message.content + " ")
        assert 0 < short.usage.completion_tokens <= 3
        assert short.model_extra["motet"]["answer"]["reply"] == text
    assert create(**ASK, max_tokens=reckoned(text)).choices[0].finish_reason == "stop"


def test_a_stream_of_the_graph_stops_speaking_where_its_tokens_end(client: openai.OpenAI) -> None:
    create: Any = client.chat.completions.create
    whole = create(**ASK).choices[0].message.content
    chunks = list(create(**ASK, stream=True, max_tokens=3, stream_options={"include_usage": True}))
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    text = "".join(choice.delta.content or "" for choice in choices)
    assert text == kept(whole, 3)
    assert choices[-1].finish_reason == "length"
    assert chunks[-1].usage.completion_tokens == reckoned(text)


def test_what_an_endpoint_does_not_count_is_reckoned(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    def uncounted(*given: Any, **named: Any) -> Generator[str, None, Reply]:
        yield SENTENCE
        return Reply(SENTENCE)

    monkeypatch.setattr(Runtime, "stream", uncounted)
    said = client.chat.completions.create(model="tiny", messages=HELLO)
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (1, reckoned(SENTENCE))


def test_what_comes_early_names_the_version_that_answers(tmp_path: Path) -> None:
    greeting = mt.Graph(mood=mood, said=Slow()(Purchase.search).within(seconds=5, otherwise=""))
    current = prepared(tmp_path, greeting, town(1.0))
    prepared(tmp_path, greeting, town(2.0))
    current.store.rollback(NAME)
    chat = {"model": "goods", "messages": HELLO, "user": "b1", "ask": {"amount": 1.0}, "stream": True}
    with served(current, beside=Beside(canary=Share(2, 1.0))) as running:
        said = running.call("POST", "/v1/chat/completions", chat).body.split(b"\n\n")
        early, late = (json.loads(said[place].removeprefix(b"data: "))["motet"] for place in (0, -3))
    assert early == {"version": 2, "answer": {"mood": 2.0}}
    assert (late["version"], late["answer"]) == (2, {"mood": 2.0, "said": "hello"})


def test_a_chat_with_the_language_model_streams_its_words(client: openai.OpenAI, endpoint: Endpoint) -> None:
    endpoint.pause = 0.1
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": [{"type": "text", "text": "And tea?"}]},
    ]
    stream = client.chat.completions.create(
        model="tiny", messages=messages, stream=True, stream_options={"include_usage": True}, max_tokens=20, stop="!"
    )
    began, times, text, usage = time.monotonic(), list[float](), "", None
    for chunk in stream:
        times.append(time.monotonic() - began)
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usage = chunk.usage or usage
    assert text == SENTENCE
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (7, 6)
    assert times[-1] - times[0] > 0.3
    asked = endpoint.asked[-1]
    assert [m["role"] for m in asked["messages"]] == ["system", "user", "assistant", "user"]
    assert (asked["messages"][-1]["content"], asked["max_tokens"], asked["stop"]) == ("And tea?", 20, ["!"])


def test_a_reply_in_one_has_its_usage_and_keeps_to_a_schema(client: openai.OpenAI) -> None:
    said = client.chat.completions.create(model="tiny", messages=HELLO, temperature=0, seed=3)
    assert said.choices[0].message.content == SENTENCE
    assert said.usage is not None
    assert said.usage.total_tokens == 13
    schema: Any = {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}
    said = client.chat.completions.create(
        model="tiny",
        messages=HELLO,
        response_format={"type": "json_schema", "json_schema": {"name": "kind", "schema": schema}},
    )
    assert said.choices[0].message.content == '{"kind": "tea"}'


def test_tokens_of_a_chat_are_counted(client: openai.OpenAI, writer: Served) -> None:
    def counted(direction: str) -> float:
        name = f'motet_llm_tokens_total{{direction="{direction}",llm="tiny"}}'
        lines = writer.call("GET", "/metrics").body.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    client.chat.completions.create(model="tiny", messages=HELLO)
    before = counted("in"), counted("out")
    client.chat.completions.create(model="tiny", messages=HELLO)
    assert (counted("in") - before[0], counted("out") - before[1]) == (7, 6)


def test_a_failure_within_a_stream_is_logged_and_not_told(
    writer: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*given: Any, **named: Any) -> Iterator[str]:
        yield "is"
        raise ValueError("thirteen")

    monkeypatch.setattr(Runtime, "stream", broken)
    said = writer.call("POST", "/v1/chat/completions", {"model": "tiny", "messages": HELLO, "stream": True})
    assert b"the server failed; its log says why" in said.body
    assert b"thirteen" not in said.body
    (record,) = [record for record in caplog.records if record.name == "motet.serve"]
    assert record.getMessage() == "POST /v1/chat/completions failed"
    assert "thirteen" in str(record.exc_info)


def test_a_client_that_leaves_ends_the_generation(client: openai.OpenAI, endpoint: Endpoint) -> None:
    endpoint.pause = 0.2
    stream = client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    assert endpoint.left.wait(5)
    endpoint.left.clear()
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="tiny", messages=HELLO, timeout=0.3)
    assert endpoint.left.wait(5)


def test_a_client_that_leaves_ends_what_is_written_to_a_schema(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def complete(self: Any, prompts: Any, *, left: threading.Event, **others: Any) -> list[Reply]:
        if left.wait(10):
            ended.set()
        return [Reply("", problem="nobody waits")]

    monkeypatch.setattr(Runtime, "complete", complete)
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(
            model="tiny", messages=HELLO, response_format={"type": "json_object"}, timeout=0.3
        )
    assert ended.wait(5)


def test_an_endpoint_that_is_slow_is_a_504_by_the_deadline(client: openai.OpenAI, endpoint: Endpoint) -> None:
    endpoint.pause = 0.3
    with pytest.raises(openai.APIStatusError) as late:
        client.chat.completions.create(model="tiny", messages=HELLO, extra_headers={"Request-Timeout": "0.5"})
    assert late.value.status_code == 504


@pytest.mark.parametrize(
    ("change", "param", "says"),
    [
        ({"temperature": 0.7}, "temperature", "not supported"),
        ({"n": 2}, "n", "not supported"),
        ({"tools": [{"type": "function"}]}, "tools", "not supported"),
        ({"colour": 1}, "colour", "not supported"),
        ({"messages": []}, "messages", "what the user says"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages", "role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages", "only texts"),
        ({"max_tokens": 0}, "max_tokens", "from 1"),
        ({"max_completion_tokens": 5000}, "max_completion_tokens", "to 4096, not 5000"),
        ({"stop": [1]}, "stop", "stop is a text"),
        ({"model": "tinny"}, "model", "did you mean 'tiny'"),
        ({"model": 3}, "model", "a text"),
        ({"ask": {"amount": 3}}, "ask", "model='goods'"),
        ({"response_format": {"type": "yaml"}}, "response_format", "json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "tree"}}}}, "", "tree"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_its_name(
    writer: Served, change: dict[str, Any], param: str, says: str
) -> None:
    said = writer.call("POST", "/v1/chat/completions", {"model": "tiny", "messages": HELLO, **change})
    assert said.status in (400, 404)
    error = said.json["error"]
    assert error["param"] == (param or "response_format")
    assert error["type"] == "invalid_request_error"
    assert says in error["message"]


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": ["foo"]}, "schema.type is 'foo'; there are: object"),
        ({"type": []}, "schema.type is empty"),
        ({"type": [{}]}, "schema.type is {}"),
        ({"required": [1, {}]}, "schema.required is [1, {}]"),
        ({"enum": []}, "schema.enum is empty"),
        ({"$ref": "#"}, "schema.$ref is '#'"),
        ({"$ref": "https://example.org/a.json"}, "schema.$ref"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "leads to no schema"),
        ({"$ref": "#/$defs/b", "$defs": {"a": {}}}, "leads to no schema"),
        ({"$defs": {"a": {"type": "tree"}}}, "schema.$defs.a.type is 'tree'"),
        ({"properties": {"a": {"anyOf": [{}, {"enum": []}]}}}, "schema.properties.a.anyOf[1].enum is empty"),
        ({"anyOf": []}, "schema.anyOf is empty"),
        ({"properties": {"a": 3}}, "schema.properties.a is 3"),
    ],
)
def test_a_schema_that_is_none_is_refused_before_the_model_is_asked(
    writer: Served, endpoint: Endpoint, schema: Any, says: str
) -> None:
    asked = len(endpoint.asked)
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    said = writer.call("POST", "/v1/chat/completions", {"model": "tiny", "messages": HELLO, "response_format": form})
    assert (said.status, said.json["error"]["param"]) == (400, "response_format")
    assert says in said.json["error"]["message"]
    assert len(endpoint.asked) == asked


def test_a_schema_may_refer_to_its_definitions(writer: Served) -> None:
    kind = {"type": ["string", "null"]}
    schema = {"properties": {"kind": {"$ref": "#/$defs/a~1b"}}, "$defs": {"a/b": {"$ref": "#/$defs/c"}, "c": kind}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    said = writer.call("POST", "/v1/chat/completions", {"model": "tiny", "messages": HELLO, "response_format": form})
    assert said.status == 200


def test_what_is_not_there_or_not_taken_is_told_in_a_sentence(client: openai.OpenAI, writer: Served) -> None:
    with pytest.raises(openai.NotFoundError, match=r"404 - Not Found; GET /openapi\.json lists what there is"):
        client.responses.create(model="goods", input="hello")
    assert writer.call("POST", "/v1/responses", {}).json["help"] == "GET /openapi.json lists what there is"
    refused = writer.call("GET", "/v1/chat/completions")
    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    assert "this path takes POST" in refused.json["error"]["message"]


def test_what_is_wrong_with_an_ask_is_said(client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match=r"Purchase\.amount is not given"):
        client.chat.completions.create(model="goods", messages=HELLO, user="b3")
    with pytest.raises(openai.UnprocessableEntityError, match="no field 'colour'"):
        client.chat.completions.create(model="goods", messages=HELLO, metadata={"colour": "red", "amount": "3"})


def test_texts_are_embedded_as_the_graph_does(client: openai.OpenAI) -> None:
    texts = ["tea", "a cup", "tea"]
    made = client.embeddings.create(model="minilm-l6", input=texts)
    plain = client.embeddings.create(model="minilm-l6", input=texts, encoding_format="float")
    vectors = np.array([each.embedding for each in made.data], np.float32)
    assert vectors.shape == (3, 384)
    assert np.array_equal(vectors, np.array([each.embedding for each in plain.data], np.float32))
    assert np.array_equal(vectors[0], vectors[2])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert (made.usage.prompt_tokens, made.usage.total_tokens) == (4, 4)


def test_embeddings_keep_to_their_time(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(parts, "embedded", lambda version, node, texts: over.wait(10))
    with pytest.raises(openai.APIStatusError) as late:
        client.embeddings.create(model="minilm-l6", input="tea", extra_headers={"Request-Timeout": "0.3"})
    over.set()
    assert late.value.status_code == 504


@pytest.mark.parametrize(
    "change",
    [
        {"input": []},
        {"input": [1, 2]},
        {"input": ["x"] * 257},
        {"input": "x" * 40_000},
        {"encoding_format": "hex"},
        {"dimensions": 3},
        {"model": "tiny"},
        {"input": {"deep": 1}},
    ],
)
def test_wrong_embedding_requests_are_refused(writer: Served, change: dict[str, Any]) -> None:
    said = writer.call("POST", "/v1/embeddings", {"model": "minilm-l6", "input": "tea", **change})
    assert said.status in (400, 404)
    assert said.json["error"]["message"]


def test_many_clients_at_once_by_the_async_client(writer: Served, endpoint: Endpoint) -> None:
    endpoint.pause = 0.0

    async def talk() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=f"{writer.url}/v1", api_key="none", max_retries=0) as client:
            asked = [client.chat.completions.create(model="tiny", messages=HELLO) for _ in range(12)]
            return [said.choices[0].message.content for said in await asyncio.gather(*asked)]

    assert asyncio.run(talk()) == [SENTENCE] * 12
