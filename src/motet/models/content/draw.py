"""A picture that an image model makes, behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from threading import Event
from typing import Any, ClassVar, TypeAlias, cast

import pyarrow as pa

from motet.batch import Batch
from motet.clock import once
from motet.column import Category, Column, Flag, Image, Late, Number, Tags, Text, Unready, column
from motet.errors import GraphError, RunError, an, listed
from motet.llm import LLM, Usage, carried
from motet.llm.account import charge
from motet.llm.gpus import held
from motet.model import Model, State
from motet.models.content.extract import Read
from motet.models.content.write import names_in, told
from motet.node import event_of, grain_name, name_of
from motet.record import Record, filled

Told: TypeAlias = Text | Number | Flag | Category | Tags
Drawn: TypeAlias = tuple[bytes | None, str | None, bool]
"""A picture, or why there is none, and whether that may pass."""

PROMPT = 4000  # letters of a prompt at most


class Picture(Record):
    """What is drawn of an item."""

    picture: Image


@dataclass(frozen=True)
class Draw(Model):
    """A picture made of words by an image model behind an OpenAI-compatible endpoint (/v1/images/generations).

    llm: the image model: mt.LLM("sd-turbo", url="http://host:8000/v1"). instruction: what to draw, with the names of
    what is given in braces: "A poster for {title}". size: in pixels, as the endpoint has it.
    Call: Draw(llm, instruction)(title=Visit.query) per request: a Late Image, so say
        .within(seconds=20, otherwise=None), or another Image in its place. Draw(...).each(title=Film.title) is one
        Image per film, drawn once and kept. A picture that is refused or late is missing, and the reason is counted;
        it is answered as a data: URL.
    Errors: a model that is no endpoint's, a name in braces that is not given, or given and not used; RunError when the
        endpoint does not answer at all, or refuses whatever it is asked: no such address, model or key.
    """

    llm: LLM
    instruction: str
    size: str = "512x512"

    calls_llm: ClassVar[bool] = True
    deep: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.llm.url:
            raise GraphError(
                f"{self.llm.model} draws nothing: pictures come from an endpoint",
                help='mt.Draw(mt.LLM("sd-turbo", url="http://host:8000/v1"), "A poster for {title}")',
            )
        if not names_in(self.instruction):
            raise GraphError(f"the instruction {self.instruction!r} uses nothing", help='"A poster for {title}"')
        width, by, height = self.size.partition("x")
        if not (by and width.isdecimal() and height.isdecimal()):
            raise GraphError(f"size={self.size!r} is no size", help='size="512x512"')

    def __call__(self, **given: Told) -> Late[Image]:
        read = self._checked(given)
        made = column(Unready, self, **read)
        if event_of(made.grain) is None:
            raise GraphError(
                f"{self} is asked once per {grain_name(made.grain)}, where nobody waits for it",
                help="draw it once and keep it: mt.Draw(...).each(title=Film.title)",
            )
        return Late(Image, made)

    def each(self, **given: Told) -> Image:
        """One picture per row of an entity, kept row by row."""
        read = self._checked(given)
        event = event_of(column(Unready, self, **read).grain)
        if event is not None:
            raise GraphError(
                f"{self} would draw while a {event.__name__} waits",
                help="give it a deadline: mt.Draw(...)(...).within(seconds=20, otherwise=None)",
            )
        return filled(Picture, column(Column, Each(self), **read)).picture

    def _checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        for name in sorted(names_in(self.instruction) ^ set(given)):
            fault = "uses {%s}, which is not given" if name not in given else "does not use %s, which is given"
            raise GraphError(f"the instruction {fault % name}; {listed(given, name)}", help=f"{name}=Film.{name}")
        for name, each in given.items():
            if isinstance(each, Column) and not isinstance(each, Told):
                raise GraphError(f"{self} tells {name} in words, and {name_of(each)} is {an(each.kind)}", "give a Text")
        return dict(given)

    def apply(self, state: State, batch: Batch) -> pa.Array:
        drawn = self.drawn(batch)
        for _, problem, _ in drawn:
            if problem:
                batch.note(problem)
        return pa.array([picture for picture, _, _ in drawn], pa.large_binary())

    def drawn(self, batch: Batch) -> list[Drawn]:
        """A picture of each row. Errors: RunError where none can be had, since nobody is there."""
        until = time.monotonic() + (self.llm.seconds if batch.seconds is None else batch.seconds)
        prompts = [self._prompt(batch, row) for row in range(batch.rows)]

        def one(prompt: str) -> Drawn:
            return _drawn(self.llm, prompt, self.size, until, batch.left)

        with ThreadPoolExecutor(self.llm.parallel) as pool:
            found = list(pool.map(carried(one), prompts))
        gone = [problem for _, problem, _ in found if problem and problem.startswith(NOBODY)]
        if gone and len(gone) == len(found):
            raise RunError(
                f"the image model {self.llm.model!r} at {self.llm.url} does not answer: {gone[0].removeprefix(AWAY)}",
                help=f"start it, or correct the url; to try it: curl {self.llm.url.rstrip('/')}/models",
            )
        return found

    def _prompt(self, batch: Batch, row: int) -> str:
        """The instruction with what this row gives; empty where it gives nothing."""
        values = {name: told(batch[name], row) for name in names_in(self.instruction)}
        words = {n: ", ".join(cast("Sequence[str]", v)) if isinstance(v, list) else v for n, v in values.items()}
        return self.instruction.format(**words)[:PROMPT] if any(words.values()) else ""


@dataclass(frozen=True)
class Each(Model):
    """The pictures of an entity's rows."""

    draw: Draw

    costly: ClassVar[bool] = True
    calls_llm: ClassVar[bool] = True
    deep: ClassVar[bool] = True

    @property
    def llm(self) -> LLM:
        return self.draw.llm

    def apply(self, state: State, batch: Batch) -> Read:
        drawn = self.draw.drawn(batch)
        held = pa.array([picture for picture, _, _ in drawn], pa.large_binary())
        return Read({"picture": held}, [why for _, why, _ in drawn], [again for *_, again in drawn])

    def block(self) -> int:
        return self.draw.llm.parallel


AWAY = "nobody is there: "
DENIED = (401, 403, 404)  # what is wrong is the key, the model or the address, and no prompt
NOBODY = (AWAY, *(f"HTTP {status}: " for status in DENIED))


def _drawn(llm: LLM, prompt: str, size: str, until: float, left: Event | None) -> Drawn:
    if not prompt:
        return None, "there is nothing to draw", False
    if left is not None and left.is_set():
        return None, "nobody waits for it any more", True
    began = time.monotonic()
    api, errors = _endpoint(llm, os.getpid())
    request: dict[str, Any] = {"model": llm.model, "prompt": prompt, "n": 1, "size": size}
    try:
        try:
            with held(llm, charge):
                made = api.images.generate(**request, response_format="b64_json", timeout=max(until - began, 0.001))
        except errors.BadRequestError:  # newer models know no response_format, and always give the bytes
            with held(llm, charge):
                made = api.images.generate(**request, timeout=max(until - time.monotonic(), 0.001))
    except errors.APITimeoutError:
        return None, "not drawn by its deadline", True
    except errors.APIStatusError as error:
        status = int(error.status_code)
        passing = status in (*DENIED, 408, 429) or status >= 500
        return None, f"HTTP {status}: {str(error.message)[:200]}", passing
    except errors.APIConnectionError as error:
        return None, f"{AWAY}{error.__cause__}", True
    except Exception as error:  # a broken answer surfaces as the transport's own error
        return None, f"broken answer: {type(error).__name__}", True
    usage = getattr(made, "usage", None)
    tokens = int(getattr(usage, "input_tokens", 0) or 0), int(getattr(usage, "output_tokens", 0) or 0)
    charge(Usage(1, *tokens, time.monotonic() - began))
    return _bytes(made)


def _bytes(made: Any) -> Drawn:
    data = cast("list[Any]", getattr(made, "data", None) or [])
    held: Any = getattr(data[0], "b64_json", None) if data else None
    try:
        picture = base64.b64decode(held, validate=True) if isinstance(held, str) else b""
    except (binascii.Error, ValueError):
        picture = b""
    return (picture, None, False) if picture else (None, "the endpoint's answer holds no picture", True)


@lru_cache(maxsize=8)
@once()
def _endpoint(llm: LLM, process: int) -> tuple[Any, Any]:
    # `process`: a forked child opens connections of its own.
    from motet.llm.openai import client_of

    api = client_of(llm)
    import openai

    return api, openai
