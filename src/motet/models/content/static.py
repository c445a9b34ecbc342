"""Sentence vectors without a network: the mean of its tokens' vectors, which were learnt once and for all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet import weights
from motet.clock import once

WIDTH = 256
CHARACTERS = 8192
TENSOR = "embedding.weight"


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Vectors of length 1: float32 [texts, 256]; a text without any token is the zero vector.

    Only a text's first 8,192 characters are read. A text's vector does not depend on the texts embedded with it.
    Source: WordLlama (github.com/dleemiller/WordLlama), trained from the token embeddings of a large language model.
    """
    found = np.zeros((len(texts), WIDTH), np.float32)
    readable = [text[:CHARACTERS].encode("utf-8", "replace").decode() for text in texts]
    tokens: list[Any] = _tokenizer().encode_batch_fast(readable, add_special_tokens=False)
    known = _vectors()
    for row, each in enumerate(tokens):
        if readable[row].strip() and each.ids:
            mean = known[each.ids].astype(np.float32).mean(axis=0)
            found[row] = mean / max(float(np.sqrt(mean @ mean)), 1e-12)
    return found


@lru_cache(maxsize=1)
@once()
def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(weights.path("wordllama/tokenizer")))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@lru_cache(maxsize=1)
@once()
def _vectors() -> NDArray[np.float16]:
    """Each token's vector, memory-mapped: all processes share it."""
    file = weights.path("wordllama/weights")
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        tensor: dict[str, Any] = json.loads(opened.read(size))[TENSOR]
    start = 8 + size + tensor["data_offsets"][0]
    shape = (int(tensor["shape"][0]), int(tensor["shape"][1]))
    return np.memmap(file, np.float16, "r", start, shape)
