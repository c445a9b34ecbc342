"""The router: how likely both models are to be right, told from what is known before the strong one is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from motet import router
from motet.batch import Array, Batch, Codes, Ragged, Vocabulary
from motet.errors import RunError
from motet.metrics.binary import auc, calibration_error
from motet.router import Router
from motet.windows import Windows
from tests.models.planted import stored

NAMES = Vocabulary(pa.array(["no", "yes"], pa.large_string()))


def world(n: int = 4_000, seed: int = 0) -> tuple[dict[str, Any], Codes, Array, Array]:
    """What both say and what came: the cheap one is right as often as it says, the strong one where texts are short."""
    draw = np.random.default_rng(seed)
    came, sure, words = draw.integers(0, 2, n), draw.uniform(0.5, 1.0, n), draw.integers(1, 30, n)
    cheap_right, strong_right = draw.random(n) < sure, draw.random(n) < np.where(words < 15, 0.97, 0.6)
    cheap, strong = (Codes(np.where(r, came, 1 - came).astype(np.int32), NAMES) for r in (cheap_right, strong_right))
    texts = pa.array([" ".join(["word"] * count) for count in words], pa.large_string())
    columns = {"cheap": {"label": cheap, "confidence": sure}, "strong": strong, "text0": texts}
    return columns, Codes(came.astype(np.int32), NAMES), cheap_right, strong_right


def known(columns: dict[str, Any]) -> Batch:
    return Batch({name: value for name, value in columns.items() if name != "strong"}, rows=len(columns["strong"]))


def test_its_probabilities_are_right_as_often_as_they_say() -> None:
    columns, came, _, _ = world()
    state = stored(Router().fit(Batch(columns, rows=4_000), came))
    later, _, cheap_right, strong_right = world(seed=1)
    odds = Router().apply(state, known(later))
    assert (calibration_error(odds["cheap"], cheap_right) or 0.0) < 0.03
    assert (calibration_error(odds["strong"], strong_right) or 0.0) < 0.03
    assert (auc(odds["strong"], strong_right) or 0.0) > 0.7  # told by the length of the text
    gained = strong_right.astype(float) - cheap_right
    high = odds["gain"] > np.median(odds["gain"])
    assert gained[high].mean() == pytest.approx(odds["gain"][high].mean(), abs=0.03)
    assert gained[~high].mean() == pytest.approx(odds["gain"][~high].mean(), abs=0.03)


def told(right: Array, chances: Array) -> Any:
    """The steps learnt from one half of the requests, and how far the calibrated ones of the other half are off."""
    half = len(right) // 2
    steps = router._steps(chances[:half], right[:half].astype(float), np.arange(half))
    return steps, calibration_error(router._calibrated(steps, chances[half:]), right[half:])


def test_a_regression_that_is_right_as_often_as_it_says_is_left_as_it_is() -> None:
    draw = np.random.default_rng(3)
    chances = draw.uniform(0.3, 0.99, 4_000)
    steps, error = told(draw.random(4_000) < chances, chances)
    assert steps is router.AS_IT_IS
    assert error < 0.03


def test_one_that_is_not_is_calibrated() -> None:
    draw = np.random.default_rng(4)
    chances = draw.uniform(0.3, 0.99, 4_000)
    right = draw.random(4_000) < np.where(chances < 0.8, 0.55, 0.9)
    steps, error = told(right, chances)
    assert steps is not router.AS_IT_IS
    assert error < 0.03
    assert (calibration_error(chances[2_000:], right[2_000:]) or 0.0) > 0.06


def test_few_that_are_wrong_make_no_steps() -> None:
    draw = np.random.default_rng(5)
    chances = draw.uniform(0.9, 0.99, 500)
    right = np.ones(500, bool)
    right[::25] = False
    assert told(np.tile(right, 2), np.tile(chances, 2))[0] is router.AS_IT_IS


def test_what_was_alike_in_all_it_has_learnt_from_tells_nothing_later() -> None:
    columns, came, _, _ = world(500)
    columns["by0"] = np.full(500, 0.1)  # whose standard deviation is no zero
    state = Router().fit(Batch(columns, rows=500), came)
    later = {**columns, "by0": np.linspace(-5, 5, 500)}
    before, after = (Router().apply(state, known(each)) for each in (columns, later))
    assert np.array_equal(before["strong"], after["strong"])


def test_what_is_beyond_all_it_has_learnt_from_counts_as_the_nearest_of_that() -> None:
    columns, came, _, _ = world(500)
    columns["by0"] = np.linspace(0, 1, 500)
    state = Router().fit(Batch(columns, rows=500), came)
    edge, beyond = (Router().apply(state, known({**columns, "by0": np.full(500, value)})) for value in (1.0, 1e6))
    assert np.array_equal(edge["strong"], beyond["strong"])


def test_requests_that_come_by_turns_are_learnt_from() -> None:
    n = 1_000
    turn = np.arange(n) % 5
    came = Codes((turn % 2).astype(np.int32), NAMES)
    columns, _, _, _ = world(n)
    columns["strong"] = Codes(np.where(turn == 3, 1 - came.codes, came.codes).astype(np.int32), NAMES)
    columns["by0"] = turn.astype(float)
    state = Router().fit(Batch(columns, rows=n), came)
    odds = Router().apply(state, known(columns))
    assert odds["strong"].mean() == pytest.approx(0.8, abs=0.02)


def test_the_rank_is_the_share_that_comes_before() -> None:
    columns, came, _, _ = world()
    state = Router().fit(Batch(columns, rows=4_000), came)
    later, _, cheap_right, strong_right = world(seed=1)
    rank = Router().apply(state, known(later))["rank"]
    for share in (0.1, 0.3, 0.7):
        assert (rank < share).mean() == pytest.approx(share, abs=0.03)
    gained = strong_right.astype(float) - cheap_right
    assert gained[rank < 0.1].mean() > gained[rank < 0.4].mean() > gained.mean() + 0.1


def test_a_request_is_told_alike_in_every_batch() -> None:
    columns, came, _, _ = world(500)
    state = Router().fit(Batch(columns, rows=500), came)
    whole = Router().apply(state, known(columns))
    alone = {"cheap": {n: v[7:8] for n, v in [("confidence", columns["cheap"]["confidence"])]}}
    label = columns["cheap"]["label"]
    alone["cheap"] = {"label": Codes(label.codes[7:8], NAMES), **alone["cheap"]}
    one = Router().apply(state, Batch({**alone, "text0": columns["text0"][7:8]}, rows=1))
    assert {name: value[7] for name, value in whole.items()} == {name: value[0] for name, value in one.items()}


def test_a_model_that_is_always_right_is_told_so() -> None:
    columns, came, _, _ = world(500)
    columns["strong"] = came
    odds = Router().apply(Router().fit(Batch(columns, rows=500), came), known(columns))
    assert odds["strong"].min() > 0.99
    assert (odds["gain"] >= -1e-9).all()


def test_histories_numbers_and_missing_values_are_read() -> None:
    draw = np.random.default_rng(0)
    n = 2_000
    came = draw.integers(0, 2, n)
    lengths = draw.integers(0, 4, n)
    right = (lengths > 0) | (draw.random(n) < 0.3)
    past = Ragged(Windows.of(np.zeros(lengths.sum()), np.concatenate([[0], np.cumsum(lengths)])))
    numbers = np.where(draw.random(n) < 0.1, np.nan, draw.normal(size=n))
    cheap = Codes(np.where(right, came, 1 - came).astype(np.int32), NAMES)
    target = Codes(came.astype(np.int32), NAMES)
    columns = {"cheap": cheap, "strong": target, "past0": past, "by0": numbers, "by1": draw.normal(size=(n, 3))}
    state = Router().fit(Batch(columns, rows=n), target)
    odds = Router().apply(state, known(columns))
    assert odds["cheap"][lengths == 0].mean() == pytest.approx(0.3, abs=0.06)
    assert odds["cheap"][lengths > 0].mean() > 0.97
    assert np.isfinite(np.stack(list(odds.values()))).all()


def test_where_nothing_is_known_the_router_says_what_to_give() -> None:
    columns, came, _, _ = world(80)
    with pytest.raises(RunError, match="nothing is known of a request") as refused:
        Router().fit(Batch({"cheap": columns["cheap"]["label"], "strong": columns["strong"]}, rows=80), came)
    assert "cheap.escalate(strong, Query.amount" in str(refused.value)


def test_too_few_requests_tell_nothing() -> None:
    columns, came, _, _ = world(40)
    with pytest.raises(RunError, match="40 requests with a known outcome") as refused:
        Router().fit(Batch(columns, rows=40), came)
    assert "at least 50" in str(refused.value)
