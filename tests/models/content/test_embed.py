from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from motet.batch import Batch
from motet.errors import GraphError
from motet.model import NOTHING
from motet.models.content.embed import Embed


def test_a_missing_text_is_the_zero_vector() -> None:
    vectors = Embed("minilm-l6").apply(NOTHING, Batch({"text": pa.array(["a shark", None, ""])}, rows=3))
    assert vectors.shape == (3, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 0], abs=1e-6)


def test_an_unknown_embedder_lists_what_exists() -> None:
    with pytest.raises(GraphError, match="did you mean 'minilm-l6'"):
        Embed("minilm-l5")


def test_identity_holds_the_weights() -> None:
    assert "53aa51172d142c89" in Embed("minilm-l6").identity()


def test_the_static_tier_knows_near_words_from_far_ones() -> None:
    texts = pa.array(["a funny film about dogs", "a comic movie with puppies", "tax law of 1974", None, " ", ""])
    embed = Embed("wordllama")
    vectors = embed.apply(NOTHING, Batch({"text": texts}, rows=6))
    assert vectors.shape == (6, 256)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 0, 0, 0], abs=1e-6)
    assert vectors[0] @ vectors[1] > 0.5 > 0.2 > vectors[0] @ vectors[2]
    alone = embed.apply(NOTHING, Batch({"text": texts[:1]}, rows=1))
    assert np.array_equal(alone, vectors[:1])


def test_the_static_tier_has_one_precision_and_an_identity_of_its_own() -> None:
    with pytest.raises(GraphError, match="no precision"):
        Embed("wordllama", precision="fp32")
    assert "64b47a2dc493cb8e" in Embed("wordllama").identity()
