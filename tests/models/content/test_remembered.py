"""Texts that come again are not embedded again, whichever thread asks."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from motet.batch import Batch
from motet.model import NOTHING
from motet.models.content.embed import Embed
from motet.models.content.remembered import Remembered, Vectors


class Counting:
    """Embeds a text as its length. asked: every text that it was given."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        assert self.go.wait(5)
        return np.array([[len(text)] for text in texts], np.float32)


def test_a_text_is_embedded_once_and_counted() -> None:
    embed, kept = Counting(), Remembered()
    assert kept.vectors(["a", "bb", "a"], embed).tolist() == [[1], [2], [1]]
    assert kept.vectors(["bb", "ccc"], embed).tolist() == [[2], [3]]
    assert embed.asked == ["a", "bb", "ccc"]
    assert (kept.hits, kept.shared, kept.misses) == (1, 0, 3)


def test_only_so_many_are_kept_and_the_oldest_goes_first() -> None:
    embed, kept = Counting(), Remembered(kept=2)
    for text in ("a", "bb", "a", "ccc", "a", "bb"):
        kept.vectors([text], embed)
    assert embed.asked == ["a", "bb", "ccc", "bb"]


def test_equal_texts_in_flight_are_embedded_once_and_nobody_waits_for_ever() -> None:
    embed, kept = Counting(), Remembered()
    embed.go.clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(kept.vectors, ["x", "yy"][:: 1 if i % 2 else -1], embed) for i in range(8)]
        while kept.shared < 14:
            assert not any(one.done() for one in asked)
        embed.go.set()
        assert all(sorted(one.result(5).ravel().tolist()) == [1, 2] for one in asked)
    assert sorted(embed.asked) == ["x", "yy"]


def test_a_failure_reaches_all_who_wait_and_is_forgotten() -> None:
    def failing(texts: Sequence[str]) -> Vectors:
        raise OSError("no weights")

    embed, kept = Counting(), Remembered()
    with pytest.raises(OSError, match="no weights"):
        kept.vectors(["a"], failing)
    assert kept.vectors(["a"], embed).tolist() == [[1]]


def test_what_is_asked_is_remembered_and_a_large_block_is_not() -> None:
    embed = Embed("minilm-l6")
    before = embed.remembered.hits
    few = Batch({"text": pa.array(["a text that no other test embeds", "nor this one"])}, rows=2)
    first, again = embed.apply(NOTHING, few), embed.apply(NOTHING, few)
    assert np.array_equal(first, again)
    assert embed.remembered.hits == before + 2
    misses = embed.remembered.misses
    many = Batch({"text": pa.array([f"text {i}" for i in range(300)])}, rows=300)
    assert np.allclose(embed.apply(NOTHING, many)[:1], embed.apply(NOTHING, Batch({"text": pa.array(["text 0"])}, 1)))
    assert embed.remembered.misses == misses + 1
