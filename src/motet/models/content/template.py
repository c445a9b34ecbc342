"""The facts of what was found, as sentences that nobody wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa

from motet.apply import Whole
from motet.batch import Batch, Pairs
from motet.candidates import Candidates, root_of
from motet.column import Text, column
from motet.model import Model, State
from motet.models.content.write import facts_of, told_columns


@dataclass(frozen=True)
class Template(Model):
    """A sentence for each candidate: its name and what its columns hold. What a writer is late with, or cannot say.

    Call: Template()(score.top(3)), as in mt.Write(llm, ...)(...).within(seconds=3, otherwise=mt.Template()(top)).
        Returns a Text per request, empty where there is no candidate.
    """

    def __call__(self, films: Candidates) -> Text:
        root = root_of(films)
        about: dict[str, Any] = {f"about.{name}": Whole(own) for name, own in told_columns(root.entity).items()}
        return column(Text, self, at=root.event.time_column(), chosen=cast(Any, Whole(films)), **about)

    def apply(self, state: State, batch: Batch) -> pa.Array:
        pairs: Pairs = batch["chosen"]
        about = {name.partition(".")[2]: value for name, value in batch.columns.items() if name.startswith("about.")}
        said = [fact.template for fact in facts_of(about, pairs.items)]
        texts = [" ".join(said[a:b]) for a, b in zip(pairs.offsets[:-1], pairs.offsets[1:], strict=True)]
        return pa.array(texts, pa.large_string())
