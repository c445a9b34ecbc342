"""Texts as vectors of their meaning, by a sentence embedder that is already trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from motet import weights
from motet.batch import Batch
from motet.column import Text, Vector, column
from motet.errors import GraphError, listed
from motet.model import Model, State
from motet.models.content import static
from motet.models.content.minilm import MiniLM
from motet.models.content.minilm_shape import Precision
from motet.models.content.remembered import Remembered, remembered

KNOWN = ("minilm-l6", "wordllama")
ASKED = 256  # texts at most that are remembered as one batch of asks: more are rows of a table


@dataclass(frozen=True)
class Embed(Model):
    """A vector per text, of length 1: near vectors mean near meanings, whatever the words.

    name: "minilm-l6", 384 numbers a text, read up to 256 tokens. "wordllama", 256 numbers: the mean of the vectors of
        its words, in whichever order; some hundred times as fast, and a cheaper tier to be measured by its return.
    precision: of minilm-l6. "int8" is twice as fast as "fp32", its vectors within cosine 0.995 of it.
    Call: embed(words). A missing or empty text is the zero vector, which is near to nothing.
    Errors: a name that does not exist; RunError where the weights cannot be fetched.
    """

    name: str = "minilm-l6"
    precision: Precision = "int8"

    version: ClassVar[int] = 2
    costly: ClassVar[bool] = True
    deep: ClassVar[bool] = True
    packaged: ClassVar[tuple[str, ...]] = KNOWN

    def __post_init__(self) -> None:
        if self.name not in KNOWN:
            raise GraphError(
                f"no embedder is called {self.name!r}; {listed(KNOWN, self.name)}", help='Embed("minilm-l6")'
            )
        if self.precision not in get_args(Precision):
            raise GraphError(
                f"no embedder has precision {self.precision!r}; {listed(get_args(Precision), self.precision)}",
                help='Embed("minilm-l6", precision="fp32")',
            )

        if self.name == "wordllama" and self.precision != "int8":
            raise GraphError("wordllama has no precision to choose", help='Embed("wordllama")')

    def __call__(self, text: Text) -> Vector:
        return column(Vector, self, text=text)

    def apply(self, state: State, batch: Batch) -> NDArray[np.float32]:
        texts = [text or "" for text in batch["text"].to_pylist()]
        if self.name == "wordllama":
            return static.embed(texts)
        embed = MiniLM(self.precision, batch.cores).embed
        return self.remembered.vectors(texts, embed) if 0 < len(texts) <= ASKED else embed(texts)

    @property
    def remembered(self) -> Remembered:
        """The vectors of what was asked lately. The rows of a table go past it: they come once."""
        return remembered(self)

    def block(self) -> int:
        return 512

    def identity(self) -> str:
        return f"{super().identity()} {weights.sha256(f'{self.name}/weights')}"
