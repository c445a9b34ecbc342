"""Sentence vectors by MiniLM-L6, without torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from motet import sessions, weights
from motet.clock import once
from motet.models.content.minilm_shape import POSITIONS, WIDTH, Precision
from motet.models.cores import threads

_BUILD = 2  # raise it when the graph changes: it names the built file
_CHARACTERS = 32 * POSITIONS
_FEW = 256  # texts that are asked for at once, at most; more are rows of a table
_BATCH_TOKENS = 1024
_ENOUGH = 128  # tokens of equally long texts that are worth a batch of their own
_MARKS = 2  # tokens that every text gets


class _Lot(NamedTuple):
    """Texts that are embedded at once: their token ids. ragged: whether they may differ in length."""

    ones: list[int]
    ragged: bool


class MiniLM:
    """all-MiniLM-L6-v2: a text's meaning as 384 numbers; the product of two vectors is their cosine.

    Only a text's first 256 tokens are read, of its first 8,192 characters. A text without any token, an empty
    one for instance, is the zero vector. A text's vector does not depend on the texts embedded with it.
    int8 runs twice as fast as fp32; over films' plots its vectors have cosine 0.997 with fp32's (least 0.995)
    and share 92 % of their ten nearest neighbours.
    cores: how many a lot of texts may use; its vectors do not depend on it.
    Source: Reimers & Gurevych 2019 (arXiv 1908.10084).
    """

    width = WIDTH

    def __init__(self, precision: Precision = "int8", cores: int = 1) -> None:
        self._tokenizer, self._precision, self._cores = _tokenizer(), precision, cores
        self._workers = threads()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of length 1: float32[texts, 384], rows in the order of the texts."""
        found = np.zeros((len(texts), WIDTH), np.float32)
        places: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            places.setdefault(_readable(text), []).append(place)
        tokens = [each.ids for each in self._tokenizer.encode_batch_fast(list(places))]
        lots = list(_lots([len(ids) for ids in tokens]))
        rows = list(places.values())
        for lot, vectors in zip(lots, self._each(tokens, lots), strict=True):
            for one, vector in zip(lot.ones, vectors, strict=True):
                found[rows[one]] = vector
        return found

    def _each(self, tokens: list[list[int]], lots: list[_Lot]) -> Iterable[NDArray[np.float32]]:
        def run(lot: _Lot) -> NDArray[np.float32]:
            return self._vectors([tokens[one] for one in lot.ones], lot.ragged)

        if len(lots) < 2 or self._workers == 1:
            return map(run, lots)
        # One lot a core beats one lot on all cores: nobody waits for anybody.
        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(run, lots))

    def _vectors(self, texts: list[list[int]], ragged: bool) -> NDArray[np.float32]:
        lengths = np.array([len(ids) for ids in texts])
        inputs = _laid_out(texts, lengths) if ragged else {"texts": np.array(texts, np.int64)}
        session = _session(self._precision, ragged, self._cores, os.getpid() if self._cores > 1 else None)
        hidden = cast("NDArray[np.float32]", session.run(None, inputs)[0])
        # Here and not in the graph: summed in one order, whatever the lot, so equal to the bit.
        mean = np.add.reduceat(hidden, np.cumsum(lengths) - lengths, axis=0)
        mean /= lengths[:, None]
        return mean / np.sqrt((mean * mean).sum(axis=1, keepdims=True))


def _laid_out(texts: list[list[int]], lengths: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The inputs of the ragged encoder."""
    place = np.arange(int(lengths.max()))
    real: NDArray[np.bool_] = place < lengths[:, None]
    starts = np.cumsum(lengths) - lengths
    return {
        "ids": np.array([token for ids in texts for token in ids], np.int64),
        "places": np.broadcast_to(place, real.shape)[real],
        "slots": np.where(real, starts[:, None] + place, 0),
        "mask": np.where(real, np.float32(0), np.float32(-np.inf))[:, None, None, :],
        "back": np.flatnonzero(real),
    }


def _readable(text: str) -> str:
    """What of a text can matter: cut before it is tokenized, without half characters."""
    text = text[:_CHARACTERS] if len(text) > _CHARACTERS else text
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _lots(lengths: Sequence[int]) -> Iterator[_Lot]:
    """The texts of more than marks, the longest first.

    In a table equally long ones go together, which needs no mask. Few texts go together as they are: each lot reads
    all weights from memory, which takes longer than the padding of attention.
    """
    ordered = sorted((i for i, length in enumerate(lengths) if length > _MARKS), key=lambda i: -lengths[i])
    by_length: dict[int, list[int]] = {}
    for one in ordered if len(lengths) > _FEW else ():
        by_length.setdefault(lengths[one], []).append(one)
    even = {length: ones for length, ones in by_length.items() if length * len(ones) >= _ENOUGH}
    for length, ones in even.items():
        yield from (_Lot(some, ragged=False) for some in _cut(ones, length))
    rest = [one for one in ordered if lengths[one] not in even]
    while rest:
        some = next(_cut(rest, lengths[rest[0]]))
        yield _Lot(some, ragged=True)
        rest = rest[len(some) :]


def _cut(ones: list[int], length: int) -> Iterator[list[int]]:
    """Texts of at most some length, as many at a time as a batch holds."""
    size = max(1, _BATCH_TOKENS // length)
    return (ones[start : start + size] for start in range(0, len(ones), size))


@lru_cache(maxsize=1)
@once()
def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(weights.path("minilm-l6/tokenizer")))
    tokenizer.no_padding()
    tokenizer.enable_truncation(POSITIONS)
    return tokenizer


@lru_cache(maxsize=8)
@once()
def _session(precision: Precision, ragged: bool, cores: int, process: int | None) -> Any:
    # `process`: where it has threads, a forked child opens its own.
    return sessions.opened(str(built(precision, ragged)), cores)


def built(precision: Precision, ragged: bool) -> Path:
    """The model as an ONNX file, made from the published weights where it is not there yet."""
    digest = weights.sha256("minilm-l6/weights")
    layout = "ragged" if ragged else "even"
    file = weights.home() / "built" / f"minilm-l6-{digest[:16]}-{precision}-{layout}-{_BUILD}.onnx"
    if not file.is_file():
        from motet.models.content.minilm_graph import write

        write(file, weights.path("minilm-l6/weights"), precision, ragged)
    return file
