"""Vectors of texts that were embedded lately: a text that comes again, or twice at once, is embedded once."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from motet.model import digest

Vectors = NDArray[np.float32]
KEPT = 8192  # texts; of 384 numbers each they take 13 MB


class Remembered:
    """One embedder's latest vectors, safe to use from several threads.

    hits: texts whose vector was there. shared: texts that another thread was embedding already. misses: the rest.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self.kept = kept
        self.hits = self.shared = self.misses = 0
        self._vectors: OrderedDict[str, Vectors] = OrderedDict()
        self._flying: dict[str, Future[Vectors]] = {}
        self._lock = threading.Lock()

    def vectors(self, texts: Sequence[str], embed: Callable[[Sequence[str]], Vectors]) -> Vectors:
        """float32 [texts, width]. embed: called at most once, with the texts that nobody has embedded or is embedding.

        Errors: those of `embed`, for all who wait for the same text.
        """
        # By digest: a key of 32 letters, however long the text is.
        keys = [digest(text.encode("utf-8", "surrogatepass")) for text in texts]
        there, flying, mine = self._claimed(dict(zip(keys, texts, strict=True)))
        if mine:
            there |= self._embedded(mine, embed)
        # Only after its own are delivered: two threads that wait for each other's texts both go on.
        there |= {key: future.result() for key, future in flying.items()}
        return np.stack([there[key] for key in keys])

    def forget(self) -> None:
        """Drops all vectors: who measures what embedding costs wants it done, not remembered."""
        with self._lock:
            self._vectors.clear()

    def _claimed(self, wanted: dict[str, str]) -> tuple[dict[str, Vectors], dict[str, Future[Vectors]], dict[str, str]]:
        """What is there, what others are embedding, and what is now this thread's to embed."""
        with self._lock:
            there = {key: self._vectors[key] for key in wanted if key in self._vectors}
            flying = {key: self._flying[key] for key in wanted if key in self._flying}
            mine = {key: text for key, text in wanted.items() if key not in there and key not in flying}
            self._flying |= {key: Future() for key in mine}
            for key in there:
                self._vectors.move_to_end(key)
            self.hits += len(there)
            self.shared += len(flying)
            self.misses += len(mine)
        return there, flying, mine

    def _embedded(self, mine: dict[str, str], embed: Callable[[Sequence[str]], Vectors]) -> dict[str, Vectors]:
        try:
            found = dict(zip(mine, embed(list(mine.values())), strict=True))
        except BaseException as error:
            with self._lock:
                waiting = [self._flying.pop(key) for key in mine]
            for future in waiting:
                future.set_exception(error)
            raise
        with self._lock:
            self._vectors |= {key: vector.copy() for key, vector in found.items()}
            while len(self._vectors) > self.kept:
                self._vectors.popitem(last=False)
            waiting = [self._flying.pop(key) for key in mine]
        for future, vector in zip(waiting, found.values(), strict=True):
            future.set_result(vector)
        return found


def remembered(embedder: Hashable) -> Remembered:
    """What this process remembers of an embedder; equal embedders are one."""
    return _of(embedder, os.getpid())


@lru_cache(maxsize=8)
def _of(embedder: Hashable, process: int) -> Remembered:
    # `process`: a fork may happen while a lock is held.
    return Remembered()
