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
