"""Texts as what can be counted in them: words, pairs of words, and the pieces that words are made of."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from motet.model import State
from motet.models.content.tfidf import places, weighed
from motet.models.content.words import words

MOST = 30_000  # grams that are told apart, those that most texts have
PIECES = (3, 4, 5)  # characters, so that a misspelt or an inflected word is still known by a part of it


def learnt(texts: pa.Array) -> State:
    """The grams that more than one text has, and how few texts have each."""
    found = [grams(text or "") for text in texts.to_pylist()]
    having = Counter(gram for text in found for gram in set(text))
    names = sorted((gram for gram, n in having.items() if n > 1), key=lambda gram: (-having[gram], gram))[:MOST]
    counts = np.array([having[gram] for gram in names], np.float64)
    return State(grams=names, idf=(np.log((1 + len(found)) / (1 + counts)) + 1).astype(np.float32))


def counted(state: State, texts: pa.Array) -> Any:
    """Each text's grams, weighed by how few texts have them, in rows of length 1: sparse float32 [texts, grams]."""
    found = [grams(text or "") for text in texts.to_pylist()]
    return weighed(found, state.opened(_places), state["idf"])


def grams(text: str) -> list[str]:
    """Words; pairs of neighbours, with a space; pieces of words, the ends marked by |."""
    each = words(text)
    pairs = [f"{first} {second}" for first, second in pairwise(each)]
    marked = [f"|{word}|" for word in each]
    pieces = [word[i : i + n] + "~" for word in marked for n in PIECES for i in range(len(word) - n + 1)]
    return [*each, *pairs, *pieces]


def _places(state: State) -> dict[str, int]:
    return places(state["grams"])
