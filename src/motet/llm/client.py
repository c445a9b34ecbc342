"""What any language model's runtime can do: complete prompts, stream one, score labels."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Prompt:
    """What a model is asked. `start` opens its reply: it continues from there, and scored labels follow it.

    earlier: what was said before, by the user and the assistant in turns: the user begins, the assistant ends.
    """

    user: str
    system: str = ""
    start: str = ""
    earlier: tuple[str, ...] = ()

    @property
    def turns(self) -> list[tuple[str, str]]:
        """Who said what, up to where the reply begins: (role, text)."""
        said = [(("user", "assistant")[i % 2], text) for i, text in enumerate(self.earlier)]
        return [*([("system", self.system)] if self.system else []), *said, ("user", self.user)]


@dataclass(frozen=True)
class Reply:
    """What one prompt gave. `problem` says why there is no usable text; the other prompts stand.

    passing: whether the problem may be gone at the next try: a deadline, an endpoint that was busy.
    """

    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    problem: str = ""
    passing: bool = False


@dataclass(frozen=True)
class Usage:
    """What calls have cost: prompts answered, tokens read and written, seconds summed over prompts, and those of the
    GPUs that worked for them."""

    prompts: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    gpu_seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompts + other.prompts,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.seconds + other.seconds,
            self.gpu_seconds + other.gpu_seconds,
        )


class Client(Protocol):
    """An open runtime. Safe to call from several threads. What it reads and writes is charged to the model whose thread
    asks; a model that asks from threads of its own hands them `carried(work)`, or nobody is billed for it.

    parallel: prompts that are worked on at once. Prompt i of a call shares its cached beginning with
        prompt i of the next one, so several questions about the same few texts cost one reading of them.
    grammars: whether `complete` keeps to a GBNF grammar. Where it does not, a grammar is refused.
    usage: what all calls so far have cost, whoever they were for.
    """

    parallel: int
    grammars: bool

    @property
    def usage(self) -> Usage: ...

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
        """One reply a prompt, in order, the likeliest tokens.

        With a schema, a reply's text is JSON that fits it, or it has a `problem`. seconds: the most one
        prompt may take, waiting for its turn not counted; None: the LLM's own. until: when nobody waits for
        the replies any more, as time.monotonic() tells it; a prompt whose turn comes later is left out. left: set when
        that is so earlier; what is being written then ends, where the runtime can be told between two tokens. told:
        called with (prompt's number, reply) as soon as each is there, in any order, by threads of the runtime. Raises
        RunError when nothing can be answered at all, and never for one prompt.
        """
        ...

    def stream(
        self, prompt: Prompt, *, max_tokens: int, stop: Sequence[str] = (), seconds: float | None = None
    ) -> Generator[str, None, Reply]:
        """The reply, piece by piece, and at its end as a whole; it ends at the deadline.

        Leaving the iterator ends the generation.
        """
        ...

    def score(self, prompts: Sequence[Prompt], labels: Sequence[str]) -> NDArray[np.float32] | None:
        """log P(label | prompt, one of the labels): float32[prompts, labels], each row's exp sums to 1.

        A row is NaN where a prompt failed. None where the runtime gives no log-probabilities, or cannot
        tell these labels apart by them.
        """
        ...

    def close(self) -> None:
        """Frees what the runtime holds. Calls after it raise RunError."""
        ...
