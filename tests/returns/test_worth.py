"""What outcomes are worth: on all requests whose outcome is known, and by what is known when they are asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motet as mt
from motet.batch import Array, Batch
from motet.evaluation import Predicted
from motet.model import Model, State
from tests.shop import Purchase


class Payment(mt.Event):
    at: mt.Time
    amount: mt.Number
    hint: mt.Number
    fraud: mt.Flag = mt.outcome()
    loss: mt.Number = mt.outcome()


@dataclass(frozen=True)
class Scored(Model):
    """A score that grows with a number; nothing below a bound."""

    bound: float = -np.inf
    times: float = 1.0

    def __call__(self, hint: mt.Number, target: mt.Flag) -> mt.Number:
        return mt.column(mt.Number, self, held_against=target, hint=hint)

    def apply(self, state: State, batch: Batch) -> Array:
        hint = np.asarray(batch["hint"])
        return np.where(hint > self.bound, self.times / (1 + np.exp(2 - 2 * hint)), np.nan)


def payments(n: int = 600) -> tuple[mt.Data, mt.Data]:
    draw = np.random.default_rng(0)
    fraud, amount = draw.random(n) < 0.2, draw.exponential(50, n)
    hint = 2 * fraud + draw.normal(size=n)
    rows = [
        {"at": 60 * i, "amount": amount[i], "hint": hint[i], "fraud": float(fraud[i]), "loss": amount[i] * fraud[i]}
        for i in range(n)
    ]
    return mt.Data({Payment: rows}).split(at=60 * (n // 2) * 1_000_000)


CAUGHT = mt.Worth(caught=Payment.amount, false_alarm=-5.0)
everywhere, rarely = (Scored(bound)(Payment.hint, target=Payment.fraud) for bound in (-np.inf, 3.0))


def test_of_what_no_probability_is_given_nothing_is_flagged() -> None:
    said = Predicted(np.array([0.9, np.nan, 0.9, np.nan, 0.9]), np.array([1.0, 1.0, 0.0, 0.0, np.nan]), None)
    assert mt.Worth(caught=10.0, false_alarm=-5.0).each(said, np.full(5, 10.0)).tolist() == [10.0, 0.0, -5.0, 0.0]


def test_a_model_that_falls_silent_gains_nothing_by_it(tmp_path: Path) -> None:
    train, test = payments()
    graph = mt.Graph(fraud=mt.choose(everywhere, rarely))
    found = graph.choose(train, test, CAUGHT, store=tmp_path, quiet=True)
    loud, silent = found.rows
    assert {loud.net.n, silent.net.n, found.n} == {len(test.asked[Payment])}
    assert silent.quality.n < found.n / 5
    assert loud.net.value is not None
    assert silent.net.value is not None
    assert found.chosen == loud.name
    made = mt.Graph(fraud=everywhere.otherwise(rarely)).fit(train, store=tmp_path, quiet=True)
    (row,) = made.returns(test, CAUGHT).rows
    assert row.verdict is not None
    assert row.verdict.gain.value == pytest.approx(loud.net.value - silent.net.value)
    assert row.difference.n == row.ours.n == silent.quality.n, "metrics are compared where both say something"


def test_an_outcome_is_no_amount_to_decide_by() -> None:
    for amount in (Payment.loss, Payment.loss * 2.0 + Payment.amount):
        with pytest.raises(mt.DataError, match=r"Payment\.loss is an outcome") as refused:
            mt.Worth(caught=amount, false_alarm=-1.0)
        assert "Payment.amount" in refused.value.help
    earlier = mt.past(Purchase.stars, by=Purchase.buyer).mean()
    assert mt.Worth(caught=earlier, false_alarm=-1.0).caught is earlier


def test_points_are_no_probability(tmp_path: Path) -> None:
    train, test = payments()
    points = Scored(times=300.0)(Payment.hint, target=Payment.fraud)
    for strong, cheap in ((points, everywhere), (everywhere, points)):
        made = mt.Graph(fraud=strong.otherwise(cheap)).fit(train, store=tmp_path, quiet=True)
        with pytest.raises(mt.DataError, match="weighed by a probability") as refused:
            made.returns(test, CAUGHT)
        assert "mt.Logistic()" in refused.value.help


def test_what_could_not_be_had_is_said_beside_what_is_decided(tmp_path: Path) -> None:
    train, test = payments()
    why = "fraud: no prediction for a known outcome"
    chosen = mt.Graph(fraud=mt.choose(everywhere, rarely)).choose(train, test, CAUGHT, store=tmp_path, quiet=True)
    count = chosen.n - chosen.rows[1].quality.n
    made = mt.Graph(fraud=everywhere.otherwise(rarely)).fit(train, store=tmp_path, quiet=True)
    for found, graph in ((chosen, "rarely"), (made.returns(test, CAUGHT), "without everywhere")):
        assert found.to_dict()["problems"] == {f"{graph}: {why}": count}
        assert f"{count} x {graph}: {why}" in str(found)
    flattered = made.returns(train, CAUGHT)
    assert len(train.asked[Payment]) in flattered.problems.values(), "of all graphs, it is said once"
    assert "\n300 x requests that the fit has learnt from" in str(flattered)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: mt.Prices(cpu_hour=wrong("dear")), "is no price, a number from 0 to 1e.15"),
        (lambda: mt.Prices(cpu_hour=wrong(True)), "is no price, a number from 0 to 1e.15"),
        (lambda: mt.Prices(gpu_hour=-1.0), "is no price, a number from 0 to 1e.15"),
        (lambda: mt.Prices(tokens=wrong([1.0])), "are no prices by the name"),
        (lambda: mt.Prices(tokens=wrong({"gpt": 1.0})), "are no prices by the name"),
        (lambda: mt.Prices(tokens=wrong({"gpt": (1.0, "2")})), "is no price, a number from 0 to 1e.15"),
        (lambda: mt.Worth(hit=wrong("much")), "hit='much' is no amount"),
        (lambda: mt.Worth(hit=wrong(True)), "hit=True is no amount"),
        (lambda: mt.Worth(caught=wrong("amount")), "caught='amount' is no amount"),
        (lambda: mt.Worth(hit=-1.0), "would be a loss"),
        (lambda: mt.Worth(hit=10**400), "is no amount, a number of 1e.15 at most"),
        (lambda: mt.Worth(caught=1e308, false_alarm=-1.0), "is no amount, a number of 1e.15 at most"),
        (lambda: mt.Prices(cpu_hour=1e308), "is no price, a number from 0 to 1e.15"),
        (lambda: mt.Worth(caught=wrong(np.int64(-3)), false_alarm=-1.0), "would be no gain"),
        (lambda: mt.Worth(correct=-2.0, wrong=-1.0), "worth no more than wrong"),
        (lambda: mt.Worth(correct=0.0), "worth no more than wrong"),
        (lambda: mt.Worth(caught=-3.0, false_alarm=-1.0), "would be no gain"),
        (lambda: mt.Worth(caught=3.0), "everything is flagged"),
        (lambda: mt.Prices(tokens=wrong({3: (1.0, 2.0)})), "are no prices by the name"),
        (lambda: mt.Worth(hit=1.0, wrong=-1.0), "of one kind"),
        (lambda: mt.Worth(correct=1.0, false_alarm=-1.0), "of one kind"),
    ],
)
def test_what_is_no_money_is_refused(build: Callable[[], object], says: str) -> None:
    with pytest.raises(mt.DataError, match=says):
        build()


def test_numbers_of_numpy_are_amounts() -> None:
    for given in (np.int64(1), np.float32(0.5)):
        assert mt.Worth(hit=wrong(given)).hit == given
        assert mt.Prices(cpu_hour=wrong(given)).cpu_hour == given


@pytest.mark.parametrize(
    ("caught", "says"),
    [
        (Payment.amount - 40.0, "is below zero for"),
        (Payment.amount * 1e30, "is above 1e.15 for"),
        (mt.Logistic()(Payment.hint, target=Payment.fraud), "and that is no part of the graph"),
    ],
)
def test_an_amount_that_cannot_be_one_is_refused_before_anything_is_replayed(
    tmp_path: Path, caught: mt.Number, says: str
) -> None:
    train, test = payments(60)
    made = mt.Graph(fraud=everywhere.otherwise(rarely)).fit(train, store=tmp_path, quiet=True)
    with pytest.raises(mt.DataError, match=says):
        made.returns(test, mt.Worth(caught=caught, false_alarm=-5.0))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"test": None}, "test=None is no data"),
        ({"worth": 3.0}, "worth=3.0 says nothing"),
        ({"prices": 0.04}, "prices=0.04 are no prices"),
        ({"prices": 0}, "prices=0 are no prices"),
        ({"requests": 0}, "requests=0 is no number"),
        ({"requests": 1.5}, "requests=1.5 is no number"),
    ],
)
def test_what_is_asked_is_checked_before_anything_is_fitted(tmp_path: Path, asked: dict[str, Any], says: str) -> None:
    train, test = payments(20)
    likely = mt.Logistic()(Payment.hint, target=Payment.fraud)
    given: dict[str, Any] = {"test": test, "worth": CAUGHT} | asked
    made = mt.Graph(fraud=everywhere.otherwise(rarely)).fit(train, store=tmp_path, quiet=True)
    either, lesson = mt.Graph(fraud=mt.choose(everywhere, likely)), mt.Graph(fraud=mt.distill(everywhere, likely))
    for ask in (made.returns, partial(either.choose, train), partial(lesson.distill, train)):
        with pytest.raises(mt.DataError, match=says):
            ask(**given)
    for ask in (either.choose, lesson.distill):
        with pytest.raises(mt.DataError, match="data=None is no data"):
            ask(wrong(None), test, CAUGHT, store=tmp_path)
    with pytest.raises(mt.DataError, match="worth=None says nothing"):
        either.choose(train, test, wrong(None), store=tmp_path)
    with pytest.raises(mt.GraphError, match="'y' is no column"):
        mt.choose(everywhere, wrong("y"))


def wrong(given: Any) -> Any:
    return given
