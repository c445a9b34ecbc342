"""MiniLM against BERT's formulas in plain NumPy, and on texts that a catalogue really holds."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from motet import weights
from motet.models.content.minilm import MiniLM, _tokenizer
from motet.models.content.minilm_graph import Weights, read_safetensors

TEXTS = [
    "A shark terrorises a seaside town in high summer.",
    "Two strangers meet on a train to Vienna and talk until morning.",
    "Toys come alive when nobody is looking, and a cowboy fears a space ranger will replace him. " * 8,
    "七人の侍が村を守る。",
    "Пианист скрывается в разрушенном городе.",
    "😀 naïve café — déjà vu",
    "a",
]


@pytest.fixture(scope="module")
def fast() -> MiniLM:
    return MiniLM()


@pytest.fixture(scope="module")
def exact() -> MiniLM:
    return MiniLM("fp32")


def bert(w: Weights, ids: list[int]) -> NDArray[np.float64]:
    """One text's vector by the formulas of BERT, no batch and no tricks."""
    erf = np.vectorize(math.erf)

    def linear(x, at):
        return x @ w[at + ".weight"].T.astype(np.float64) + w[at + ".bias"]

    def norm(x, at):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12) * w[at + ".weight"] + w[at + ".bias"]

    at = "embeddings."
    x = w[at + "word_embeddings.weight"][ids] + w[at + "token_type_embeddings.weight"][0]
    x = norm(x.astype(np.float64) + w[at + "position_embeddings.weight"][: len(ids)], at + "LayerNorm")
    for layer in range(6):
        at = f"encoder.layer.{layer}."
        q, k, v = (linear(x, f"{at}attention.self.{n}").reshape(len(ids), 12, 32) for n in ("query", "key", "value"))
        near = np.einsum("ihd,jhd->hij", q, k) / math.sqrt(32)
        shares = np.exp(near - near.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        seen = np.einsum("hij,jhd->ihd", shares, v).reshape(len(ids), 384)
        x = norm(x + linear(seen, at + "attention.output.dense"), at + "attention.output.LayerNorm")
        wide = linear(x, at + "intermediate.dense")
        wide = wide * 0.5 * (1 + erf(wide / math.sqrt(2)))
        x = norm(x + linear(wide, at + "output.dense"), at + "output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def test_fp32_is_bert(exact: MiniLM) -> None:
    w = read_safetensors(weights.path("minilm-l6/weights"))
    by_formula = np.stack([bert(w, _tokenizer().encode(text).ids) for text in TEXTS])
    assert exact.embed(TEXTS) == pytest.approx(by_formula, abs=2e-5)


def test_int8_stays_close_to_fp32(fast: MiniLM, exact: MiniLM) -> None:
    cosines = (fast.embed(TEXTS) * exact.embed(TEXTS)).sum(axis=1)
    assert cosines.mean() >= 0.99
    assert cosines.min() >= 0.985


def test_vectors_have_length_1(fast: MiniLM) -> None:
    vectors = fast.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-6)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_vector_does_not_depend_on_its_neighbours(precision) -> None:
    model = MiniLM(precision)
    # Texts of equal length, which do share a batch, and others.
    texts = TEXTS + [f"film number {n} is about {word}" for n in range(9) for word in ("love", "war", "sharks")]
    together = model.embed(texts)
    alone = np.concatenate([model.embed([text]) for text in texts])
    backwards = model.embed(texts[::-1])[::-1]
    assert np.array_equal(together, MiniLM(precision, cores=2).embed(texts))
    assert np.array_equal(together, alone)
    assert np.array_equal(together, backwards)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_row_of_a_table_and_an_ask_are_read_alike(precision) -> None:
    model = MiniLM(precision)
    table = [f"film {n} is about {'a shark and ' * (n % 40)}a train" for n in range(400)]
    together = model.embed(table)
    assert np.array_equal(together[100:140], model.embed(table[100:140]))
    assert np.array_equal(together[7], model.embed(table[7:8])[0])


def test_equal_texts_are_embedded_once(fast: MiniLM, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = fast._vectors
    monkeypatch.setattr(fast, "_vectors", lambda ids, ragged: (seen.append(len(ids)), real(ids, ragged))[1])
    vectors = fast.embed(["a shark", "a train", "a shark", "a shark"])
    assert sum(seen) == 2
    assert np.array_equal(vectors[0], vectors[3])


@pytest.mark.parametrize("text", ["", "  \n\t ", "\x00\x01", "\u200b"])
def test_a_text_without_tokens_is_zero(fast: MiniLM, text: str) -> None:
    assert np.array_equal(fast.embed([text, "a shark"])[0], np.zeros(384, np.float32))


def test_no_texts_give_no_rows(fast: MiniLM) -> None:
    assert fast.embed([]).shape == (0, 384)


def test_a_megabyte_is_cut_before_it_costs(fast: MiniLM) -> None:
    started = time.monotonic()
    long, also = fast.embed(["shark " * 200_000, "x" * 1_000_000])
    assert time.monotonic() - started < 5
    assert np.array_equal(long, fast.embed(["shark " * 254])[0])
    assert np.linalg.norm(also) == pytest.approx(1, abs=1e-5)


def test_half_a_character_does_no_harm(fast: MiniLM) -> None:
    assert np.isfinite(fast.embed(["broken \ud83d text"])).all()


def test_near_meanings_are_near(fast: MiniLM) -> None:
    sea, shark, train = fast.embed(["a film about the ocean", TEXTS[0], TEXTS[1]])
    assert sea @ shark > sea @ train
