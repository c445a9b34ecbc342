"""A language model orders the few candidates of a request by whether each answers the query."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from motet.batch import Array, Batch
from motet.candidates import Candidates, held, ranked
from motet.column import Number, Text, column
from motet.errors import GraphError, RunError
from motet.llm import LLM, PACKAGED, Prompt, carried
from motet.model import Model, State
from motet.models.behavior.outcome import checked

LABELS = ("yes", "no")
MOST = 50  # candidates of a request


@dataclass(frozen=True)
class Rerank(Model):
    """The few best candidates, in the order in which a language model finds them the answer to the query.

    The model is asked about each candidate whether its text answers the query, and the score is the probability of
    "yes" against "no": one forward pass, nothing is generated. A candidate without a text is last.

    llm: which language model. seconds: the most that all candidates of a batch may take. characters: of a text, and of
    the query, that are read.
    Call: Rerank(llm, seconds=2)(found.top(20), Visit.query, words).otherwise(found.top(20)). Returns Candidates, whose
        .score is the probability, from 0 to 1.
    Errors: more than 50 candidates a request; RunError when the model cannot answer, gives no probabilities or is late,
        so that .otherwise(...) answers. Source: Nogueira et al. 2020 (arXiv 2003.06713) for scoring one word.
    """

    llm: LLM
    seconds: float = 2.0
    characters: int = 500

    calls_llm: ClassVar[bool] = True
    deep: ClassVar[bool] = True
    packaged: ClassVar[tuple[str, ...]] = PACKAGED

    def __post_init__(self) -> None:
        checked(self, "characters", 1)
        if not self.seconds > 0:
            raise GraphError(f"nothing is answered within {self.seconds} seconds", help="Rerank(llm, seconds=2)")

    def __call__(self, candidates: Candidates, query: Text, text: Text) -> Candidates:
        if held(candidates) > MOST:
            raise GraphError(
                f"{self} would be asked about {held(candidates)} candidates of every request",
                help="give it the few best: found.top(20)",
            )
        return ranked(candidates, column(Number, self, among=candidates, query=query, text=text))

    def apply(self, state: State, batch: Batch) -> Array:
        pairs = zip(batch["query"].to_pylist(), batch["text"].to_pylist(), strict=True)
        asked = [(query or "", text or "") for query, text in pairs]
        there = [i for i, (_, text) in enumerate(asked) if text.strip()]
        scores = np.full(batch.rows, np.nan)
        if there:
            scores[there] = self._in_time([self._prompt(*asked[i]) for i in there], batch.seconds)
        return scores

    def _in_time(self, prompts: list[Prompt], seconds: float | None) -> Array:
        client = self.llm.open()
        most = self.seconds if seconds is None else min(self.seconds, seconds)
        pool = ThreadPoolExecutor(1)
        try:
            scores = pool.submit(carried(client.score), prompts, LABELS).result(most)
        except TimeoutError:
            raise RunError(f"{self} was not there within {most:g} s", help="fewer candidates, or seconds=") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if scores is None:
            raise RunError(
                f"{self.llm.model} gives no probabilities", help="use an endpoint with logprobs, or a model in process"
            )
        return np.exp(scores[:, 0].astype(np.float64))

    def _prompt(self, query: str, text: str) -> Prompt:
        start = f"Query: {query[: self.characters]}\nText: {text[: self.characters]}\nDoes the text answer the query?"
        return Prompt("Say of each text whether it answers the query, yes or no.", start=start)

    def identity(self) -> str:
        return super(Rerank, dataclasses.replace(self, seconds=2.0)).identity()  # a deadline changes no value
