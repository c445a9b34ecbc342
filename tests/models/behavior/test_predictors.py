"""LightGBM, Logistic, DCN-v2 and scikit-learn: what every predictor of an outcome must do."""

from __future__ import annotations

import importlib.util
import tracemalloc
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from motet.batch import Array, Batch, Codes, take
from motet.candidates import Candidates, retrieve
from motet.column import Category, Flag, Image, Key, Number, Time
from motet.errors import GraphError, RunError
from motet.model import State
from motet.models.behavior.als import ALS
from motet.models.behavior.dcn import DCN
from motet.models.behavior.lightgbm import LightGBM
from motet.models.behavior.logistic import Logistic
from motet.models.behavior.scikit import Sklearn
from motet.past import past
from motet.record import Entity, Event, outcome
from tests.models.planted import categories, stored, tags, texts


class Film(Entity):
    film_id: Key
    year: Number


class Viewer(Entity):
    viewer_id: Key
    age: Number


class Visit(Event):
    viewer: Viewer
    at: Time
    length: Number
    film: Film = outcome()
    rating: Number = outcome()


class Payment(Event):
    at: Time
    amount: Number
    country: Category
    fraud: Flag = outcome(after="7d")


BINARY: list[Any] = [
    LightGBM(trees=60, min_rows=5),
    Logistic(),
    Sklearn(RandomForestClassifier(30)),
    Sklearn(make_pipeline(StandardScaler(), CalibratedClassifierCV(LinearSVC()))),
]
if importlib.util.find_spec("torch"):
    BINARY.append(DCN(dim=4, cross=1, hidden=(16,), batch=64, rate=1e-2))
NUMBERS = [
    LightGBM("regression", trees=100, min_rows=5),
    Sklearn(RandomForestRegressor(30)),
    Sklearn(Ridge()),
]


def planted(n: int = 600, seed: int = 0) -> tuple[Batch, Array]:
    """A number, a category and a tag that decide an outcome together with noise; some of all are missing."""
    draw = np.random.default_rng(seed)
    amount = draw.normal(size=n)
    country = draw.integers(-1, 3, n).astype(np.int32)
    marked = draw.random(n) < 0.5
    odds = 4 * amount + 6 * (country == 2) - 4 * marked
    known = np.where(draw.random(n) < 0.1, np.nan, amount)
    columns = {
        "at": np.arange(n),
        "feature0": known,
        "feature1": Codes(country, categories("fr", "it", "nl").names),
        "feature2": tags(*(["odd", "new"] if m else ["new"] for m in marked)),
        "feature3": draw.normal(size=(n, 2)).astype(np.float32),
    }
    return Batch(columns, rows=n, seed=seed), odds


def features_of(batch: Batch, rows: Array) -> Batch:
    return Batch({name: take(value, rows) for name, value in batch.features().items()}, rows=len(rows))


def alike(model: Any, batch: Batch, first: State, second: State) -> bool:
    """Whether two states predict the same to the last bit. (The bytes of a pickle need not be equal.)"""
    return np.array_equal(model.apply(first, batch), model.apply(second, batch))


def auc(scores: Array, labels: Array) -> float:
    return float((scores[labels == 1][:, None] > scores[labels == 0][None, :]).mean())


@pytest.mark.parametrize("model", BINARY, ids=str)
def test_it_finds_what_decides_an_outcome(model: Any) -> None:
    batch, odds = planted()
    state = stored(model.fit(batch, (odds > 0).astype(float)))
    later, truth = planted(seed=1)
    found = model.apply(state, features_of(later, np.arange(later.rows)))
    assert ((found >= 0) & (found <= 1)).all()
    assert auc(found, (truth > 0).astype(float)) > 0.9


@pytest.mark.parametrize("model", [Logistic(C=100.0), LightGBM(trees=60, min_rows=5)], ids=str)
def test_taught_by_a_probability_it_learns_that_and_not_yes_or_no(model: Any) -> None:
    rare = Batch({"at": np.arange(400), "feature0": np.arange(400) % 4.0}, rows=400)
    chances = np.array([0.01, 0.03, 0.2, 0.4])[np.arange(400) % 4]
    assert model.learns_chances()
    state = stored(model.fit(rare, chances))
    found = model.apply(state, features_of(rare, np.arange(4)))
    assert np.corrcoef(found, chances[:4])[0, 1] > 0.9
    assert found.mean() == pytest.approx(chances.mean(), rel=0.05)
    with pytest.raises(RunError, match="learns how likely a Flag is, and its target says 1"):
        model.fit(rare, chances + np.where(chances == 0.01, 1.49, 0))


@pytest.mark.parametrize("model", NUMBERS, ids=str)
def test_it_finds_what_decides_a_number(model: Any) -> None:
    batch, odds = planted()
    state = stored(model.fit(batch, odds))
    later, truth = planted(seed=1)
    found = model.apply(state, features_of(later, np.arange(later.rows)))
    assert np.corrcoef(found, truth)[0, 1] > 0.85


@pytest.mark.parametrize("model", [*BINARY, *NUMBERS], ids=str)
def test_equal_seeds_make_equal_states(model: Any) -> None:
    batch, odds = planted()
    assert alike(model, batch, model.fit(batch, (odds > 0).astype(float)), model.fit(batch, (odds > 0).astype(float)))


def test_the_seed_reaches_an_estimator_that_has_none() -> None:
    batch, odds = planted()
    model = Sklearn(RandomForestRegressor(5))
    assert not alike(model, batch, model.fit(batch, odds), model.fit(replace(batch, seed=7), odds))
    fixed = Sklearn(RandomForestRegressor(5, random_state=3))
    assert alike(fixed, batch, fixed.fit(batch, odds), fixed.fit(replace(batch, seed=7), odds))


@pytest.mark.parametrize("model", [*BINARY, *NUMBERS], ids=str)
def test_one_row_alone_is_predicted_as_among_others(model: Any) -> None:
    batch, odds = planted()
    state = model.fit(batch, (odds > 0).astype(float))
    together = model.apply(state, features_of(batch, np.arange(20)))
    alone = [model.apply(state, features_of(batch, np.array([i])))[0] for i in range(20)]
    assert np.allclose(together, alone, atol=1e-9)
    assert len(model.apply(state, features_of(batch, np.zeros(0, np.int64)))) == 0


@pytest.mark.parametrize("model", [*BINARY, *NUMBERS], ids=str)
def test_unknown_outcomes_are_not_learnt_from(model: Any) -> None:
    batch, odds = planted()
    labels = (odds > 0).astype(float)
    half = np.arange(0, batch.rows, 2)
    some = Batch({**features_of(batch, half).columns, "at": half}, rows=len(half), seed=batch.seed)
    labels[1::2] = np.nan
    assert alike(model, batch, model.fit(batch, labels), model.fit(some, labels[half]))


def test_a_setting_that_scikit_learn_refuses_is_said_with_the_estimator() -> None:
    batch, odds = planted()
    model = Sklearn(RandomForestClassifier(cast(Any, "many")))
    with pytest.raises(RunError, match=r"(?s)'n_estimators' parameter of RandomForestClassifier.*'many'") as failed:
        model.fit(batch, (odds > 0).astype(float))
    assert failed.value.what.startswith(f"{model} cannot be fitted: ")
    assert failed.value.help == "change its settings: mt.Sklearn(RandomForestClassifier(...))"


class Stubborn(Ridge):
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        raise ValueError("not today")


def test_an_estimator_of_ones_own_that_fails_names_its_line() -> None:
    batch, odds = planted()
    with pytest.raises(RunError, match="cannot be fitted: not today") as failed:
        Sklearn(Stubborn()).fit(batch, odds)
    assert failed.value.help == f"look at {__file__}:{Stubborn.fit.__code__.co_firstlineno + 1}"


@pytest.mark.parametrize("model", BINARY, ids=str)
def test_one_class_is_an_error(model: Any) -> None:
    batch, _ = planted()
    with pytest.raises(RunError, match="only one value to learn from: its target is 0 in all 600 rows"):
        model.fit(batch, np.zeros(batch.rows))


def test_one_number_throughout_is_an_error_that_speaks_of_no_classes() -> None:
    batch, _ = planted()
    with pytest.raises(RunError, match="only one value to learn from: its target is 5 in all 600 rows"):
        LightGBM("regression").fit(batch, np.full(batch.rows, 5.0))
    one = Batch({name: take(value, np.arange(1)) for name, value in batch.columns.items()}, rows=1)
    with pytest.raises(RunError, match="its target is 5 in the only row\nhelp"):
        LightGBM("regression").fit(one, np.full(1, 5.0))


@pytest.mark.parametrize("model", [*BINARY, *NUMBERS], ids=str)
def test_no_known_outcome_is_an_error(model: Any) -> None:
    batch, _ = planted()
    with pytest.raises(RunError, match="none of 600 rows has a known outcome"):
        model.fit(batch, np.full(batch.rows, np.nan))


@pytest.mark.parametrize("model", [*BINARY, *NUMBERS], ids=str)
def test_a_feature_that_is_missing_throughout_does_no_harm(model: Any) -> None:
    batch, odds = planted(200)
    columns = {**batch.columns, "feature0": np.full(200, np.nan)}
    state = model.fit(Batch(columns, rows=200), (odds > 0).astype(float))
    lacking = model.apply(state, features_of(Batch(columns, rows=200), np.arange(200)))
    assert np.isfinite(lacking).all()
    columns["feature0"] = np.full(200, 100.0)
    told = model.apply(state, features_of(Batch(columns, rows=200), np.arange(200)))
    assert np.array_equal(told, lacking), "nothing was learnt of it"


def test_what_was_never_heard_of_makes_logistic_no_more_certain() -> None:
    noise = np.random.default_rng(0).normal(size=400)
    labels = (noise > 0).astype(float)
    model = Logistic()
    batch = Batch({"at": np.arange(400), "feature0": noise * 1e-9}, rows=400)
    state = model.fit(batch, labels)
    found = model.apply(state, Batch({"feature0": np.array([noise.max() * 1e-9, 1.0])}, rows=2))
    assert found[0] == found[1] < 1


def test_a_weight_for_each_of_many_names_takes_memory_by_the_row_and_not_by_the_name() -> None:
    n, known = 20_000, 5_000
    draw = np.random.default_rng(0)
    who = Codes(draw.integers(0, known, n).astype(np.int32), categories(*(f"c{i:04}" for i in range(known))).names)
    batch = Batch({"at": np.arange(n), "feature0": draw.normal(size=n), "feature1": who}, rows=n)
    model = Logistic(C=10.0)
    tracemalloc.start()
    state = model.fit(batch, who.codes % 2.0)
    found = model.apply(state, batch)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6  # a column for each name would take 800
    assert ((found > 0.5) == who.codes % 2).mean() > 0.99


def ranking(groups: int = 60, size: int = 12) -> tuple[Batch, Array]:
    """Requests whose candidate with the largest second feature is the one that happened; some found none."""
    draw = np.random.default_rng(0)
    n = groups * size
    telling = draw.normal(size=n)
    labels = np.zeros(n)
    for low in range(0, n, size):
        labels[low + int(telling[low : low + size].argmax())] = 1
    labels[:size] = 0
    at = np.repeat(np.arange(groups), size)
    columns = {"at": at, "feature0": draw.normal(size=n), "feature1": telling}
    return Batch(columns, rows=n, groups=np.arange(0, n + 1, size)), labels


@pytest.mark.parametrize("objective", ["lambdarank", "binary", "regression"])
def test_it_ranks_candidates(objective: Any) -> None:
    model = LightGBM(objective, trees=60, min_rows=5)
    batch, labels = ranking()
    found = model.apply(stored(model.fit(batch, labels)), batch)
    first = [found[low : low + 12].argmax() == labels[low : low + 12].argmax() for low in range(12, batch.rows, 12)]
    assert np.mean(first) > 0.9


def test_requests_that_found_nothing_are_not_learnt_from() -> None:
    batch, labels = ranking()
    rest = Batch(
        {name: value[12:] for name, value in batch.columns.items()},
        rows=batch.rows - 12,
        groups=np.arange(0, batch.rows - 11, 12),
    )
    model = LightGBM("lambdarank", trees=10, min_rows=5)
    assert alike(model, batch, model.fit(batch, labels), model.fit(rest, labels[12:]))


def test_no_request_that_found_anything_is_an_error() -> None:
    batch, labels = ranking()
    with pytest.raises(RunError, match=r"none of 60 requests(?s:.)*help: retrieve more"):
        LightGBM("lambdarank").fit(batch, labels * 0)


def test_grades_must_be_whole() -> None:
    batch, labels = ranking()
    with pytest.raises(RunError, match=r"grades.*4\.5(?s:.)*help: target="):
        LightGBM("lambdarank").fit(batch, labels * 4.5)


def test_the_number_of_trees_is_found_on_the_latest_examples() -> None:
    batch, _ = planted()
    noise = (np.random.default_rng(3).random(batch.rows) < 0.5).astype(float)
    said: list[tuple[int, int, str]] = []
    LightGBM(trees=200, patience=5).fit(replace(batch, progress=lambda *told: said.append(told)), noise)
    assert said[0][1:] == (200, "finding the number of trees")
    assert said[-1][0] == said[-1][1] < 50, "noise is worth few trees"
    assert said[-1][2] == "all 600 rows"


def test_rows_are_taken_in_the_order_of_time() -> None:
    batch, odds = planted()
    labels = (odds > 0).astype(float)
    turned = np.random.default_rng(0).permutation(batch.rows)
    shuffled = Batch({**features_of(batch, turned).columns, "at": turned}, rows=batch.rows, seed=batch.seed)
    model = LightGBM(trees=20)
    assert alike(model, batch, model.fit(batch, labels), model.fit(shuffled, labels[turned]))


class Shot(Event):
    at: Time
    photo: Image
    sharp: Flag = outcome()


def test_a_picture_is_an_image_and_no_number() -> None:
    with pytest.raises(GraphError, match=r"reads numbers, and Shot\.photo is an Image"):
        Logistic()(cast(Any, Shot.photo), target=Shot.sharp)


def test_calls() -> None:
    assert LightGBM()(Payment.amount, Payment.country, target=Payment.fraud).grain == {Payment}
    assert Logistic()(Payment.amount, target=Payment.fraud).grain == {Payment}
    assert Sklearn(Ridge())(Visit.length, target=Visit.rating).grain == {Visit}
    found = retrieve(Film, k=5, by=[ALS()(past(Visit.film, by=Visit.viewer), Film)])
    for target in (Visit.rating >= 4, Visit.film):
        ranked = LightGBM("lambdarank")(found, Film.year, Visit.viewer.age, target=target)
        assert isinstance(ranked, Candidates)
        assert ranked.node.among == found.node.among


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LightGBM("lambdarank")(Visit.length, target=Visit.rating), "ranks candidates, and has none"),
        (lambda: LightGBM()(Film.year, target=Visit.rating >= 4), "asked about every Film"),
        (lambda: LightGBM()(Visit.length, target=Visit.rating), "predicts a Flag"),
        (lambda: Logistic()(Visit.rating, target=Visit.rating >= 4), "an outcome of Visit"),
        (lambda: Logistic()(target=Payment.fraud), "no features"),
        (lambda: Logistic()(Payment.amount, target=Visit.rating >= 4), "belongs to"),
        (lambda: Sklearn(RandomForestClassifier())(Visit.length, target=Visit.rating), "predicts a Flag"),
        (lambda: Sklearn(RandomForestClassifier), "give an estimator with its settings"),
        (lambda: Sklearn(LinearSVC()), "CalibratedClassifierCV"),
        (lambda: DCN()(Film.year, target=Visit.rating >= 4), "asked about every Film"),
        (lambda: DCN()(past(Visit.rating, by=Visit.viewer), target=Visit.rating >= 4), r"sequence.*aggregate it first"),
        (lambda: DCN(cross=0, hidden=()), "learns nothing"),
        (lambda: DCN(hidden=(0,)), "a width from 1 up"),
        (lambda: DCN(held=1.0), "held < 1"),
        (lambda: DCN(dim=0), "dim"),
        (lambda: LightGBM("ranking"), "lambdarank"),  # pyright: ignore
        (lambda: LightGBM(trees=0), "trees"),
        (lambda: LightGBM(learning_rate=2), "learning_rate"),
        (lambda: Logistic(C=0), "above zero"),
    ],
)
def test_what_cannot_mean_anything_is_refused(build: Any, message: str) -> None:
    with pytest.raises(GraphError, match=rf"(?s){message}") as refused:
        build()
    assert refused.value.help


def test_the_identity_of_an_estimator_is_its_class_and_all_settings() -> None:
    def identity(estimator: Any) -> str:
        return Sklearn(estimator).identity()

    assert identity(RandomForestClassifier(5)) == identity(RandomForestClassifier(5))
    assert identity(RandomForestClassifier(5)) != identity(RandomForestClassifier(6))
    assert identity(RandomForestClassifier(5)) != identity(RandomForestRegressor(5))
    assert identity(make_pipeline(StandardScaler(), Ridge(1))) != identity(make_pipeline(StandardScaler(), Ridge(2)))


def test_a_text_key_vocabulary_survives() -> None:
    batch, odds = planted(200)
    state = stored(LightGBM(trees=5).fit(batch, (odds > 0).astype(float)))
    assert set(state["layout"][1]["names"]) == set(texts("fr", "it", "nl").to_pylist())
