"""DCN-v2: products of features, names, sequences, and what is served without torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from motet.batch import Array, Batch, Codes, Ragged, take  # noqa: E402
from motet.models.behavior import inputs  # noqa: E402
from motet.models.behavior.dcn import DCN, predictions  # noqa: E402
from motet.models.behavior.dcn_net import Net  # noqa: E402
from motet.models.behavior.steps import Noise  # noqa: E402
from tests.models.planted import categories, histories, names, same, stored, tags  # noqa: E402

QUICK = DCN(dim=8, cross=1, hidden=(16,), dropout=0, batch=64, rate=1e-2, epochs=12)


def batch_of(*values: Any, seed: int = 0) -> Batch:
    rows = len(values[0])
    return Batch({"at": np.arange(rows), **{f"feature{i}": v for i, v in enumerate(values)}}, rows=rows, seed=seed)


def asked(model: DCN, state: Any, *values: Any) -> Array:
    return model.apply(state, Batch({f"feature{i}": v for i, v in enumerate(values)}, rows=len(values[0])))


def tastes(n: int = 1200, seed: int = 0) -> tuple[Codes, Codes, Array]:
    """Even viewers like even films and odd viewers odd ones: neither says anything alone."""
    draw = np.random.default_rng(seed)
    viewers, films = draw.integers(0, 12, n).astype(np.int32), draw.integers(0, 12, n).astype(np.int32)
    return Codes(viewers, names("v", 12)), Codes(films, names("f", 12)), (viewers % 2 == films % 2).astype(float)


@pytest.mark.parametrize("model", [QUICK, replace(QUICK, hidden=()), replace(QUICK, cross=0)], ids=str)
def test_it_finds_what_only_two_features_together_say(model: DCN) -> None:
    viewers, films, likes = tastes()
    state = stored(model.fit(batch_of(viewers, films), likes))
    viewers, films, likes = tastes(300, seed=1)
    assert ((asked(model, state, viewers, films) > 0.5) == likes).mean() > 0.97


def test_it_reads_which_names_a_history_holds() -> None:
    draw = np.random.default_rng(0)
    rows = [draw.choice(20, draw.integers(1, 6), replace=False).tolist() for _ in range(900)]
    labels = np.array([7 in row for row in rows], float)
    films = names("f", 20)
    state = stored(QUICK.fit(batch_of(histories(*rows, films=films)), labels))
    found = asked(QUICK, state, histories([7], [3, 7, 9], [3, 9], [], films=films))
    assert found[:2].min() > 0.8
    assert found[2:].max() < 0.2


def test_a_name_is_the_same_in_another_vocabulary_and_a_new_one_counts_as_missing() -> None:
    viewers, films, likes = tastes()
    state = QUICK.fit(batch_of(viewers, films), likes)
    mine = asked(QUICK, state, take(viewers, np.arange(200)), take(films, np.arange(200)))
    other = Codes((viewers.codes[:200] + 1).astype(np.int32), names("v", 12).extended(names("w", 1).names))
    other.names.names = other.names.names.take(np.array([12, *range(12)]))
    np.testing.assert_array_equal(mine, asked(QUICK, state, other, take(films, np.arange(200))))
    for many in (1, 200):  # looked up one by one, or translated together
        unseen = asked(QUICK, state, categories(*["new"] * many), take(films, np.arange(many)))
        missing = asked(QUICK, state, categories(*[None] * many), take(films, np.arange(many)))
        np.testing.assert_array_equal(unseen, missing)


def test_only_the_most_frequent_names_have_an_embedding() -> None:
    many = categories(*["a"] * 50, *["b"] * 30, *["c"] * 10)
    state = replace(QUICK, names=2, epochs=1).fit(batch_of(many), np.arange(90) % 2.0)
    assert state["layout"][0]["names"] == ["a", "b"]
    found = asked(QUICK, state, categories("c", None, "a"))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("normalised", [True, False])
def test_what_is_served_is_the_net_that_was_trained(normalised: bool) -> None:
    n = 50
    draw = np.random.default_rng(0)
    values = {
        "feature0": categories(*draw.choice(["x", "y", "z"], n)),
        "feature1": np.where(draw.random(n) < 0.2, np.nan, draw.normal(size=n)),
        "feature2": tags(*(["odd", "new"] if i % 2 else [] for i in range(n))),
        "feature3": draw.normal(size=(n, 3)).astype(np.float32),
    }
    laid = inputs.State(layout=inputs.layout(values, 100))
    rows = inputs.encoded(laid, values)
    config = DCN(dim=4, cross=2, hidden=(6, 5), normalised=normalised)
    assert rows.numbers.shape[1] == inputs.width(laid["layout"]) == 2 + 3
    torch.manual_seed(0)
    net = Net(config, int(inputs.starts(laid["layout"])[-1]), 2, 5).eval()
    with torch.no_grad():
        for parameter in net.normal.parameters():
            parameter.uniform_(-1, 1)
    net.settle(rows)
    with torch.no_grad():
        right = torch.sigmoid(net(rows, Noise(0, 0))).numpy()
    np.testing.assert_allclose(predictions(stored(inputs.State(**net.arrays())), rows), right, atol=1e-6)


def test_a_net_that_predicts_normalises_by_the_rows_that_it_was_settled_by() -> None:
    draw = np.random.default_rng(0)
    rows = inputs.Encoded(draw.integers(0, 9, (40, 2)), (), draw.normal(3, 2, (40, 1)).astype(np.float32))
    torch.manual_seed(0)
    net = Net(DCN(dim=4, cross=0, hidden=(6, 5), dropout=0, normalised=True), 9, 2, 1)
    with torch.no_grad():
        trained = net(rows, Noise(0, 0))
        net.eval().settle(rows)
        torch.testing.assert_close(net(rows, Noise(0, 0)), trained)
        alone = net(rows.take(np.arange(1)), Noise(0, 0))
        torch.testing.assert_close(alone, trained[:1])


def test_embeddings_under_a_strong_penalty_still_tell_names_apart() -> None:
    viewers, films, likes = tastes()
    strict = replace(QUICK, cross=0, l2=0.3)
    right: list[float] = []
    for model in (strict, replace(strict, normalised=True)):
        state = model.fit(batch_of(viewers, films), likes)
        right.append(((asked(model, state, viewers, films) > 0.5) == likes).mean())
    assert right[0] < 0.8 < 0.97 < right[1]


def test_a_number_beyond_those_of_the_training_rows_is_read_as_the_nearest() -> None:
    amount = np.random.default_rng(0).uniform(-1, 1, 300)
    state = QUICK.fit(batch_of(amount), (amount > 0).astype(float))
    found = asked(QUICK, state, np.array([amount.max(), 1e9, np.inf, np.nan]))
    assert found[0] == found[1]
    assert found[2] == found[3]


def test_numbers_beyond_what_is_computed_with_are_the_largest_that_are() -> None:
    amount = np.random.default_rng(0).uniform(-1, 1, 300)
    amount[::7] = 1e308
    state = QUICK.fit(batch_of(amount), (amount > 0).astype(float))
    assert np.isfinite(asked(QUICK, state, np.array([0.0, 1e308, -1e308]))).all()


def test_learning_stops_when_the_latest_examples_gain_nothing() -> None:
    told: list[tuple[int, int, str]] = []
    viewers, films, _ = tastes()
    noise = np.random.default_rng(5).integers(0, 2, 1200).astype(float)
    batch = replace(batch_of(viewers, films), progress=lambda *said: told.append(said))
    replace(QUICK, epochs=60, patience=2).fit(batch, noise)
    assert len(told) < 30
    assert told[0][:2] == (1, 60)
    assert "rows/s" in told[0][2]


def test_the_latest_examples_are_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from motet.models.behavior import dcn_train

    seen: list[Array] = []
    real = dcn_train.Trainer
    monkeypatch.setattr(dcn_train, "Trainer", lambda rows, *others: seen.append(rows.codes) or real(rows, *others))
    viewers, films, likes = tastes(400)
    replace(QUICK, held=0.25, epochs=1).fit(batch_of(viewers, films), likes)
    assert len(seen[0]) == 300
    order = inputs.encoded(inputs.State(layout=inputs.layout({"a": viewers}, 99)), {"a": viewers}).codes[:300]
    np.testing.assert_array_equal(seen[0][:, :1], order)


def test_the_seed_decides_everything() -> None:
    viewers, films, likes = tastes(300)
    quick = replace(QUICK, epochs=2, dropout=0.2)
    assert same(quick.fit(batch_of(viewers, films), likes), quick.fit(batch_of(viewers, films), likes))
    assert not same(quick.fit(batch_of(viewers, films), likes), quick.fit(batch_of(viewers, films, seed=1), likes))


def test_two_rows_are_enough_to_fit() -> None:
    state = replace(QUICK, epochs=1).fit(batch_of(categories("a", "b"), np.array([1.0, 2.0])), np.array([0.0, 1.0]))
    assert np.isfinite(asked(QUICK, state, categories("a"), np.array([np.nan]))).all()


def test_bags_are_cut_and_read_alike_however_their_rows_lie() -> None:
    films = names("f", 4)
    rows: Ragged = histories([0, 1], [2], [], [3, 0], films=films)
    laid = inputs.State(layout=inputs.layout({"a": rows}, 9))
    whole = inputs.encoded(laid, {"a": rows}).bags[0]
    some = inputs.encoded(laid, {"a": take(rows, np.array([3, 1]))}).bags[0]
    assert [whole.row(i).tolist() for i in (3, 1)] == [some.row(i).tolist() for i in (0, 1)]
    assert whole.row(2).tolist() == [0]
