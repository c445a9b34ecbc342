"""Classify: labels from words, vectors and numbers, and how sure it is of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from motet.batch import Array, Batch, Codes, take
from motet.column import Category, Flag, Key, Number, Text, Time, Vector
from motet.errors import GraphError, RunError
from motet.model import State
from motet.models.content.classify import Classify
from motet.models.content.embed import Embed
from motet.record import Entity, Event, outcome
from tests.models.planted import categories, same, stored, texts

WORDS = {
    "lost": ["card", "stolen", "gone"],
    "cash": ["machine", "notes", "withdraw"],
    "pin": ["code", "digits", "secret"],
}


class Film(Entity):
    film_id: Key
    plot: Text


class Query(Event):
    at: Time
    text: Text
    amount: Number
    intent: Category = outcome()
    fraud: Flag = outcome()


def planted(n: int = 150, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts of which two words tell the label, and the others nothing."""
    draw = np.random.default_rng(seed)
    labels = [list(WORDS)[i % len(WORDS)] for i in range(n)]
    said = [
        f"what of my {' and the '.join(draw.choice(WORDS[label], 2))} please {draw.integers(9)}" for label in labels
    ]
    return said, labels


def batch(*columns: Any, seed: int = 0) -> Batch:
    return Batch({f"feature{i}": value for i, value in enumerate(columns)}, rows=len(columns[0]), seed=seed)


def vectors(labels: list[str], seed: int = 0) -> Array:
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(len(WORDS), 16))
    rows = centres[[list(WORDS).index(label) for label in labels]] + draw.normal(scale=0.7, size=(len(labels), 16))
    return rows.astype(np.float32)


def labels_of(found: dict[str, Any]) -> list[str]:
    label: Codes = found["label"]
    return [label.names.tolist()[code] for code in label.codes]


def fitted() -> State:
    said, labels = planted()
    return stored(Classify().fit(batch(texts(*said)), categories(*labels)))


def test_words_tell_labels_apart() -> None:
    said, labels = planted(seed=1)
    assert labels_of(Classify().apply(fitted(), batch(texts(*said)))) == labels


def test_vectors_tell_labels_apart() -> None:
    train, test = planted()[1], planted(seed=1)[1]
    state = stored(Classify().fit(batch(vectors(train)), categories(*train)))
    found = labels_of(Classify().apply(state, batch(vectors(test, seed=1))))
    assert np.mean(np.array(found) == test) > 0.9


def test_features_of_all_kinds_are_read_together() -> None:
    """Neither the text nor the number tells the label alone."""
    draw = np.random.default_rng(0)
    word, amount = draw.choice(["card", "cash"], 400), draw.normal(size=400)
    labels = [f"{w} {'dear' if a > 0 else 'cheap'}" for w, a in zip(word, amount, strict=True)]
    given = batch(texts(*word), 1000 * amount, categories(*(["x", "y"] * 200)))
    found = labels_of(Classify().apply(stored(Classify().fit(given, categories(*labels))), given))
    assert np.mean(np.array(found) == labels) > 0.95


def test_two_labels_are_told_apart_as_well_as_three() -> None:
    said, labels = planted()
    rows = np.array([i for i, label in enumerate(labels) if label != "pin"])
    two = [labels[i] for i in rows]
    given = batch(take(texts(*said), rows))
    found = Classify().apply(stored(Classify().fit(given, categories(*two))), given)
    assert labels_of(found) == two
    assert (found["confidence"] > 0.5).all()


def test_confidence_is_the_probability_that_the_library_gives_that_label() -> None:
    from sklearn.linear_model import LogisticRegression

    labels = planted()[1]
    X = vectors(labels).astype(np.float64)
    scaled = (X - X.mean(axis=0)) / np.sqrt(X.var(axis=0).sum())
    expected: Any = LogisticRegression(C=10.0, max_iter=1000).fit(scaled, labels).predict_proba(scaled)
    found = Classify().apply(Classify().fit(batch(vectors(labels)), categories(*labels)), batch(vectors(labels)))
    assert np.allclose(found["confidence"], expected.max(axis=1), atol=5e-3)


def test_it_is_surer_of_what_it_has_read_of() -> None:
    known, unknown, missing = Classify().apply(fitted(), batch(texts("my card is stolen", "quux", None)))["confidence"]
    assert known > 0.8
    assert 1 / 3 <= unknown == missing < 0.6


def test_missing_and_infinite_numbers_decide_nothing() -> None:
    labels = ["small", "large"] * 50
    numbers = np.array([1.0, 2.0] * 50) + np.random.default_rng(0).normal(scale=0.1, size=100)
    state = Classify().fit(batch(numbers), categories(*labels))
    found = Classify().apply(state, batch(np.array([np.nan, np.inf, 2.0, 1e30, numbers.max()])))
    assert found["confidence"][0] == found["confidence"][1] < 0.6
    assert found["confidence"][3] == found["confidence"][4], "beyond all that it has seen is as the most that it has"


def test_rows_without_a_label_are_not_learnt_from() -> None:
    said, labels = planted()
    some: list[str | None] = [None if i % 2 else label for i, label in enumerate(labels)]
    kept = [i for i, label in enumerate(some) if label]
    whole = Classify().fit(batch(texts(*said)), categories(*some))
    part = Classify().fit(batch(texts(*(said[i] for i in kept))), categories(*(labels[i] for i in kept)))
    assert same(whole, part)


def test_one_text_alone_is_answered_as_among_others() -> None:
    said, labels = planted()
    given = batch(texts(*said), vectors(labels))
    state = Classify().fit(given, categories(*labels))
    together = Classify().apply(state, given)
    for i in range(20):
        alone = Classify().apply(state, batch(texts(said[i]), vectors(labels)[i : i + 1]))
        assert alone["confidence"][0] == together["confidence"][i]


def test_nothing_asked_is_nothing_answered() -> None:
    found = Classify().apply(fitted(), batch(texts()))
    assert (len(found["label"]), len(found["confidence"])) == (0, 0)


def test_equal_rows_make_equal_states() -> None:
    assert same(fitted(), fitted())


@pytest.mark.parametrize(
    ("said", "labels", "why"),
    [
        (["a card", "my card"], ["lost", "lost"], "only the label 'lost', in all 2 rows"),
        (["a card"], ["lost"], "only the label 'lost', in the only row"),
        (["a card"], [None], "no label in 1 row,"),
        ([None, None], ["lost", "cash"], "no two of 2 texts have a word in common"),
    ],
)
def test_rows_that_teach_nothing_are_refused(said: list[str | None], labels: list[str | None], why: str) -> None:
    with pytest.raises(RunError, match=f"(?s){why}.*help:"):
        Classify().fit(batch(texts(*said)), categories(*labels))


def test_it_is_a_record_of_columns_of_the_event() -> None:
    embed = Embed()
    found = Classify()(Query.text, embed(Query.text), Query.amount, target=Query.intent)
    assert isinstance(found.label, Category)
    assert isinstance(found.confidence, Number)
    assert isinstance(embed(Query.text), Vector)
    assert found.label.grain == found.confidence.grain == {Query}
    assert not found.label.after


def test_what_cannot_be_meant_is_refused_at_once() -> None:
    wrong: Any = Query.fraud
    with pytest.raises(GraphError, match="predicts a Category, and its target is wrong, a Flag"):
        Classify()(Query.text, target=wrong)
    with pytest.raises(GraphError, match="nothing to read"):
        Classify()(target=Query.intent)
    with pytest.raises(GraphError, match="an outcome of Query that is not known"):
        Classify()(Query.fraud, target=Query.intent)
    with pytest.raises(GraphError, match="asked about every Film"):
        Classify()(Film.plot, target=Query.intent)
    with pytest.raises(GraphError, match="not above zero"):
        Classify(C=0)
