"""TF-IDF: texts as vectors of their telling words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from motet.batch import Array, Batch
from motet.clock import library
from motet.column import Text, Vector, column, learn
from motet.errors import GraphError, RunError
from motet.model import Model, State
from motet.models.content.words import words

GRID = 2**12  # places from 0 to 1: products are multiples of 2**-24, as a float32 below 1 can hold them
SHORTER = 2**-10  # keeps lengths below 1 after rounding
MOST = 50_000  # words of the vocabulary, the most frequent ones


@dataclass(frozen=True)
class TFIDF(Model):
    """A vector per text: its words, weighted by how few texts have them, in the `dim` strongest directions.

    Cheap (some thousand texts a second) and learnt from the texts themselves; it knows words, not meaning.

    dim: of the vectors.
    Call: tfidf(words) learns from the texts and gives their Vectors, of length 1 to a thousandth, or 0 without known
        words.
        tfidf(Visit.query, learnt_from=words) puts other texts into the same space, so that
        tfidf(words) @ tfidf(Visit.query, learnt_from=words) is their cosine similarity.
    A similarity is the same in every batch. Of texts without a common word it is 0 to a thousandth with as many
        dimensions as texts or words; with fewer, related words count too.
    Errors: no word in any text. Source: Deerwester et al. 1990 (latent semantic indexing).
    """

    dim: int = 256

    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise GraphError(f"a vector of {self.dim} dimensions holds nothing", help="TFIDF(dim=256)")

    def __call__(self, text: Text, learnt_from: Text | None = None) -> Vector:
        fit = learn(self, text=text if learnt_from is None else learnt_from)
        return column(Vector, self, fit, text=text)

    def fit(self, batch: Batch, target: Any) -> State:
        texts = [words(text or "") for text in batch["text"].to_pylist()]
        having = Counter(word for text in texts for word in set(text))
        if not having:
            raise RunError(
                f"{self} has nothing to learn from: no word in {len(texts)} texts",
                help="learn from a column of texts that are there: TFIDF()(Film.plot)",
            )
        names = sorted(having, key=lambda word: (-having[word], word))[:MOST]
        counts = np.array([having[word] for word in names])
        idf = np.log((1 + len(texts)) / (1 + counts)) + 1
        batch.progress(0, 1, f"{len(names):,} words of {len(texts):,} texts")
        directions = _directions(weighed(texts, places(names), idf), self.dim, batch.seed)
        batch.progress(1, 1, f"{len(names):,} words of {len(texts):,} texts")
        return State(words=names, idf=idf.astype(np.float32), directions=directions)

    def apply(self, state: State, batch: Batch) -> Array:
        texts: pa.Array = batch["text"]
        found = [words(text or "") for text in texts.to_pylist()]
        weights = weighed(found, state.opened(_vocabulary), state["idf"])
        return _unit(np.asarray(weights @ state["directions"], np.float32))


def _vocabulary(state: State) -> dict[str, int]:
    return places(state["words"])


def places(names: Sequence[str]) -> dict[str, int]:
    return {word: i for i, word in enumerate(names)}


def weighed(texts: list[list[str]], places: Mapping[str, int], idf: Array) -> Any:
    """How much each word says of each text, (1 + log count) x idf, rows of length 1: [texts, words]."""
    known = [Counter(places[word] for word in text if word in places) for text in texts]
    offsets = np.cumsum([0, *map(len, known)])
    codes = np.array([code for row in known for code in row], np.int32)
    counts = np.array([n for row in known for n in row.values()], np.float64)
    weights = (1 + np.log(counts)) * idf[codes]
    lengths = np.sqrt(np.add.reduceat(np.append(weights**2, 0), offsets[:-1])) if len(texts) else weights
    weights /= np.repeat(lengths, np.diff(offsets))
    return library("scipy.sparse").csr_matrix((weights.astype(np.float32), codes, offsets), (len(texts), len(idf)))


def _directions(weights: Any, dim: int, seed: int) -> Array:
    """The strongest directions, float32 [words, dim]; zero columns where the texts span fewer."""
    made = np.zeros((weights.shape[1], dim), np.float32)
    rank = min(dim, *weights.shape)
    if rank == min(weights.shape):
        rows = np.linalg.svd(weights.toarray(), full_matrices=False)[2]
    else:
        extmath = library("sklearn.utils.extmath")
        rows = extmath.randomized_svd(weights, rank, random_state=seed)[2]
    made[:, :rank] = rows[:rank].T
    return made


def _unit(vectors: Array) -> Array:
    """Of length 1, on a grid so coarse that a float32 holds every product and sum of two of them exactly: no
    order of adding, and so no size of a batch, makes another similarity."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-6)
    return np.rint(unit * ((1 - SHORTER) * GRID)) / np.float32(GRID)
