"""Any OpenAI-compatible endpoint: vLLM, a llama.cpp server, a hosted model."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from motet.errors import RunError, needs
from motet.llm.account import Account, carried, charge
from motet.llm.client import Prompt, Reply, Schema, Usage
from motet.llm.fits import misfit
from motet.llm.gpus import held

if TYPE_CHECKING:
    from motet.llm import LLM

T = TypeVar("T")
_TOP = 20  # the most alternatives that the protocol gives for a token
_LATE = "not finished by its deadline"
_AWAY = 0.25  # seconds for which an endpoint that was not there is taken to be away still, by who has a deadline


@dataclass(frozen=True)
class _Answer:
    """An endpoint's answer, or why there is none. seconds: 0 where it was not asked. down: nobody was there.
    refused: an HTTP status."""

    body: Mapping[str, Any]
    seconds: float
    problem: str = ""
    down: bool = False
    refused: int = 0


class Endpoint:
    """One model behind a URL. An unreachable endpoint is one RunError; one bad answer, one reply's problem."""

    grammars = False

    def __init__(self, llm: LLM) -> None:
        self.parallel = llm.parallel
        self._llm = llm
        self._api = client_of(llm)
        self._pool = ThreadPoolExecutor(llm.parallel, thread_name_prefix="motet-llm")
        self._total = Account()
        self._closed = threading.Event()
        self._takes_schemas = self._tells_usage = self._tells_probabilities = True
        self._back = 0.0  # when it is next worth asking, as time.monotonic() tells it

    @property
    def usage(self) -> Usage:
        return self._total.usage

    def complete(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int,
        schema: Schema | None = None,
        grammar: str | None = None,
        stop: Sequence[str] = (),
        seconds: float | None = None,
        until: float | None = None,
        left: threading.Event | None = None,
        told: Callable[[int, Reply], None] | None = None,
    ) -> list[Reply]:
        if grammar is not None:
            raise RunError("an endpoint keeps to no grammar", help="schema={...}, or a model in process")
        request: dict[str, Any] = {"max_tokens": max_tokens}
        if stop:
            request["stop"] = list(stop)

        def one(numbered: tuple[int, Prompt]) -> _Answer:
            number, prompt = numbered
            if left is not None and left.is_set():
                return _Answer({}, 0.0, _LATE)
            answer = self._ask(prompt, request, seconds, until, schema)
            if told is not None:
                told(number, _reply(answer, schema))
            return answer

        return [_reply(answer, schema) for answer in self._each(list(enumerate(prompts)), one)]

    def stream(
        self, prompt: Prompt, *, max_tokens: int, stop: Sequence[str] = (), seconds: float | None = None
    ) -> Generator[str, None, Reply]:
        started, text, usage = time.monotonic(), list[str](), dict[str, Any]()
        until = started + (seconds or self._llm.seconds)
        request = self._request(prompt) | {"max_tokens": max_tokens, "stream": True}
        if stop:
            request["stop"] = list(stop)
        late = False
        try:
            with held(self._llm, self._charge), self._chunks(request, until) as chunks:
                for chunk in chunks:
                    late = time.monotonic() > until
                    if late:
                        break
                    usage = chunk.usage.model_dump() if chunk.usage else usage
                    if chunk.choices and chunk.choices[0].delta.content:
                        text.append(str(chunk.choices[0].delta.content))
                        yield text[-1]
        except _errors().APITimeoutError:
            late = True
        except _errors().APIError as error:
            raise self._unreachable(str(error)) from error
        answer = _Answer({"usage": usage}, time.monotonic() - started, _LATE if late else "")
        self._count(answer)
        return Reply("".join(text), *_tokens(answer.body), answer.seconds, answer.problem, passing=late)

    def _chunks(self, request: Mapping[str, Any], until: float) -> Any:
        """The pieces, and the tokens that they took where the endpoint can say."""
        create, left = self._api.chat.completions.create, until - time.monotonic()
        if self._tells_usage:
            try:
                return create(**request, stream_options={"include_usage": True}, timeout=left)
            except (_errors().BadRequestError, _errors().UnprocessableEntityError):
                self._tells_usage = False
        return create(**request, timeout=left)

    def score(self, prompts: Sequence[Prompt], labels: Sequence[str]) -> NDArray[np.float32] | None:
        if not self._tells_probabilities:
            return None
        request = {"max_tokens": 1, "logprobs": True, "top_logprobs": _TOP}

        def one(prompt: Prompt) -> _Answer:
            return self._ask(prompt, request)

        # The first tells whether there are log-probabilities at all, before all the others are paid for.
        first = self._each(prompts[:1], one)
        if first and (first[0].refused in (400, 422) or not (first[0].problem or _alternatives(first[0].body))):
            self._tells_probabilities = False  # and is not asked for them again
            return None
        if first and not first[0].problem and _label_scores(first[0].body, labels) is None:
            return None
        rows = [_label_scores(answer.body, labels) for answer in first + self._each(prompts[1:], one)]
        nothing = np.full(len(labels), np.nan, np.float32)
        return (
            np.stack([nothing if row is None else row for row in rows])
            if rows
            else np.zeros((0, len(labels)), np.float32)
        )

    def close(self) -> None:
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._api.close()

    def _each(self, prompts: Sequence[T], one: Callable[[T], _Answer]) -> list[_Answer]:
        """All answers, in order. Once nobody is there, the rest is not tried."""
        if self._closed.is_set():
            raise RunError("this language model was closed", help="llm.open()")
        gone, answered = threading.Event(), threading.Event()

        def guarded(prompt: T) -> _Answer:
            if gone.is_set():
                return _Answer({}, 0.0, "the endpoint went away", down=True)
            answer = one(prompt)
            if answer.down or answer.seconds:
                (gone if answer.down else answered).set()
            return answer

        answers = list(self._pool.map(carried(guarded), prompts))
        if gone.is_set() and not answered.is_set():
            raise self._unreachable(max((each for each in answers if each.down), key=lambda each: each.seconds).problem)
        denied = [each for each in answers if each.refused in (401, 403, 404)]
        if denied and len(denied) == len(answers):
            raise self._unreachable(denied[0].problem)
        return answers

    def _ask(
        self,
        prompt: Prompt,
        extra: Mapping[str, Any],
        seconds: float | None = None,
        until: float | None = None,
        schema: Schema | None = None,
    ) -> _Answer:
        request = self._request(prompt) | dict(extra)
        if schema is not None and self._takes_schemas:
            request["response_format"] = _response_format(schema)
        if until is not None and (skipped := self._skipped(until)):
            return skipped
        ends = time.monotonic() + (self._llm.seconds if seconds is None else seconds)
        answer = self._patiently(request, ends if until is None else min(ends, until))
        if answer.refused in (400, 422) and "response_format" in request:
            # An older endpoint: the prompt alone must bring it to JSON, and what comes is checked anyway.
            self._takes_schemas = False
            return self._ask(prompt, extra, seconds, until, schema)
        self._count(answer)
        return answer

    def _skipped(self, until: float) -> _Answer | None:
        """What is not asked at all, so that those who wait behind it are: nobody waits for it any more, or the
        endpoint was away a moment ago."""
        now = time.monotonic()
        if now >= until:
            return _Answer({}, 0.0, _LATE)
        return _Answer({}, 0.0, "it was away a moment ago", down=True) if now < self._back else None

    def _patiently(self, request: Mapping[str, Any], until: float) -> _Answer:
        """Tries again where that may help, within the deadline, waiting twice as long each time."""
        started = time.monotonic()
        answer = _Answer({}, 0.0, "not asked")
        for attempt in range(self._llm.retries + 1):
            answer, wait = self._once(request, until)
            wait = max(wait, 0.25 * 2**attempt)
            again = answer.down or answer.refused == 429 or answer.refused >= 500
            if not again or attempt == self._llm.retries or time.monotonic() + wait > until:
                break
            if self._closed.wait(wait):
                break
        return replace(answer, seconds=time.monotonic() - started)

    def _once(self, request: Mapping[str, Any], until: float) -> tuple[_Answer, float]:
        """One request, and the seconds that the endpoint asks to wait before another."""
        errors = _errors()
        left = max(until - time.monotonic(), 0.001)
        late = _Answer({}, 0.0, _LATE)
        try:
            with held(self._llm, self._charge):
                return self._read(request, left, until), 0.0
        except (errors.APITimeoutError, TimeoutError):
            return late, 0.0
        except errors.APIStatusError as error:
            problem = f"HTTP {error.status_code}: {str(error.message)[:200]}"
            asked = str(error.response.headers.get("retry-after", ""))
            wait = float(asked) if asked.replace(".", "", 1).isdigit() else 0.0
            return _Answer({}, 0.0, problem, refused=int(error.status_code)), wait
        except errors.APIConnectionError as error:
            if _nobody_there(error):
                self._back = time.monotonic() + _AWAY
            return _Answer({}, 0.0, f"{error} ({error.__cause__})", down=True), 0.0
        except Exception as error:
            # A connection that breaks inside an answer surfaces as the transport's own error.
            return (late if time.monotonic() > until else _Answer({}, 0.0, f"broken answer: {error}")), 0.0

    def _read(self, request: Mapping[str, Any], left: float, until: float) -> _Answer:
        # Read in pieces: a timeout alone never ends an answer that trickles.
        raw = bytearray()
        api = self._api.chat.completions.with_streaming_response
        with api.create(**request, timeout=left) as response:
            for piece in response.iter_bytes():
                raw += piece
                if time.monotonic() > until:
                    raise TimeoutError
        try:
            body = json.loads(raw)
        except ValueError:
            return _Answer({}, 0.0, "the endpoint's answer is not JSON")
        if not isinstance(body, dict):
            return _Answer({}, 0.0, "the endpoint's answer is no JSON object")
        return _Answer(cast("dict[str, Any]", body), 0.0)

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        messages = [{"role": role, "content": text} for role, text in prompt.turns]
        if prompt.start:
            # The protocol knows no reply that is already begun, so the beginning closes the question.
            messages[-1]["content"] += f"\n\n{prompt.start}"
        return {"model": self._llm.model, "messages": messages, "temperature": 0.0}

    def _count(self, answer: _Answer) -> None:
        self._charge(Usage(1, *_tokens(answer.body), answer.seconds))

    def _charge(self, spent: Usage) -> None:
        self._total.add(spent)
        charge(spent)

    def _unreachable(self, why: str) -> RunError:
        return RunError(
            f"the language model {self._llm.model!r} at {self._llm.url} does not answer: {why}",
            help=f"start it, or correct the url; to try it: curl {self._llm.url.rstrip('/')}/models",
        )


def _reply(answer: _Answer, schema: Schema | None) -> Reply:
    text, problem = "", answer.problem
    if not problem:
        text, problem = _text(answer.body)
    passing = bool(problem)  # nothing came, or nothing that is a reply; a reply that does not fit will not fit again
    if schema is not None and not problem:
        problem = misfit(text, schema)
    return Reply(text, *_tokens(answer.body), answer.seconds, problem, passing)


def _choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    first = cast("list[Any]", choices)[0] if isinstance(choices, list) and choices else None
    return cast("dict[str, Any]", first) if isinstance(first, dict) else {}


def _text(body: Mapping[str, Any]) -> tuple[str, str]:
    message = _choice(body).get("message")
    content = cast("dict[str, Any]", message).get("content") if isinstance(message, dict) else None
    return (content, "") if isinstance(content, str) else ("", "the endpoint's answer holds no reply")


def _tokens(body: Mapping[str, Any]) -> tuple[int, int]:
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return 0, 0
    counts = cast("dict[str, Any]", usage)
    read, written = counts.get("prompt_tokens"), counts.get("completion_tokens")
    return (read if isinstance(read, int) else 0), (written if isinstance(written, int) else 0)


def _alternatives(body: Mapping[str, Any]) -> list[tuple[str, float]]:
    """What the first token may have been, and how likely: its log-probability. None where nothing is said of it."""
    try:
        top = _choice(body)["logprobs"]["content"][0]["top_logprobs"]
        return [(str(each["token"]).strip().lower(), float(each["logprob"])) for each in top]
    except (KeyError, IndexError, TypeError, ValueError):
        return []


def _label_scores(body: Mapping[str, Any], labels: Sequence[str]) -> NDArray[np.float32] | None:
    """Among the labels, from the first token's alternatives; None where they do not tell them apart."""
    given = _alternatives(body)
    if not given:
        return None
    # A label that is not among the alternatives is less likely than the last of them.
    found = np.full(len(labels), min(value for _, value in given) - 1.0)
    for token, value in given:
        begun = [i for i, label in enumerate(labels) if token and label.lower().startswith(token)]
        exact = [i for i in begun if labels[i].lower() == token]
        if len(begun) > 1 and not exact:
            return None
        for i in exact or begun:
            found[i] = max(found[i], value)
    return (found - np.logaddexp.reduce(found)).astype(np.float32)


def _response_format(schema: Schema) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": dict(schema)}}


def client_of(llm: LLM) -> Any:
    """The official client of the LLM's endpoint. Errors: its key, or the package, is not there."""
    key = os.environ.get(llm.api_key_env, "") if llm.api_key_env else "none"
    if not key:
        raise RunError(f"{llm.api_key_env} is not set", help=f"export {llm.api_key_env}=...")
    # Retries are ours, since they must stay within a prompt's deadline.
    return _errors().OpenAI(base_url=llm.url, api_key=key, max_retries=0)


def _nobody_there(error: Exception) -> bool:
    """Whether nobody listened. A connection that broke may be an idle one that was closed a moment too early."""
    # By its name: openai's transport has changed its package's before.
    return type(error.__cause__).__name__ == "ConnectError"


def _errors() -> Any:
    try:
        import openai
    except ImportError:
        raise needs("llm", "openai") from None
    return openai
