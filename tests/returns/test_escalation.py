"""What an escalation buys is what both models' answers show, counted by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import motet as mt
from motet.batch import Array
from motet.metrics.intervals import Estimate
from motet.returns import plots
from motet.returns.escalation import Escalation
from tests.tickets import Ticket, desk, expert, guess, tickets

train, test = tickets().split(at="1970-01-01T11:40:00")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> mt.Fitted:
    return desk.fit(train, store=tmp_path_factory.mktemp("desk"), quiet=True)


@pytest.fixture(scope="module")
def found(fitted: mt.Fitted) -> Escalation:
    return fitted.escalation(test, mt.Prices(cpu_hour=0.04))


@pytest.fixture(scope="module")
def wrong(fitted: mt.Fitted) -> Array:
    """Where the cheap model is."""
    run = fitted.context(test).batch(Ticket, test.asked[Ticket])
    return np.asarray(run.value(Ticket.amount)) > 0.6


def test_both_alone_are_what_an_evaluation_says(fitted: mt.Fitted, found: Escalation, wrong: Array) -> None:
    assert found.n == len(test.asked[Ticket])
    assert found.cheap.value == pytest.approx(1 - wrong.mean())
    assert found.strong.value == 1.0
    assert fitted.evaluate(test).n == found.n


def test_a_budget_is_spent_on_what_gains_most(found: Escalation, wrong: Array) -> None:
    point = next(point for point in found.points if point.budget == 0.2)
    assert point.asked == pytest.approx(0.2, abs=1 / found.n)
    assert point.quality.value == pytest.approx(
        1 - wrong.mean() + 0.2, abs=2 / found.n
    )  # all that are asked were wrong
    assert point.margin.value == pytest.approx(0.2 * (1 - wrong.mean()), abs=2 / found.n)
    assert found.area.low is not None
    assert found.area.low > 0
    assert found.worst.value == min(p.margin.value or 0.0 for p in found.points if p.asked > 0)


def test_its_own_point_is_what_it_does_with_one_request_after_the_other(fitted: mt.Fitted, found: Escalation) -> None:
    context, label = fitted.context(test), desk.outputs["topic"]
    spared = list[bool]()
    for row in test.asked[Ticket]:
        run = context.batch(Ticket, np.array([row]))
        run.value(label)
        spared.append(bool(run.spared[0][2][0]))
    assert found.own.asked == pytest.approx(1 - np.mean(spared))


def test_its_own_point_is_what_its_price_wants(wrong: Array, tmp_path: Path) -> None:
    priced = mt.Graph(topic=guess.label.escalate(expert, price=0.5)).fit(train, store=tmp_path, quiet=True)
    own = priced.escalation(test).own
    assert own.budget is None
    assert own.asked == pytest.approx(wrong.mean(), abs=0.05)
    assert "its price" in str(priced.escalation(test))
    assert "which saves" not in str(priced.escalation(test))  # nothing has a price


def test_the_equal_share_is_that_of_the_wrong_ones(found: Escalation, wrong: Array) -> None:
    assert found.equal_share.value == pytest.approx(wrong.mean(), abs=0.06)
    share = found.equal_share.value or 0.0
    assert share >= wrong.mean() - 1e-9
    more = found.points[-1].cost - found.points[0].cost
    cost = found.points[0].cost + share * more / found.points[-1].asked
    assert found.cost_saved.value == pytest.approx(1 - cost / found.strong_cost)


def test_it_is_shown_as_text_json_and_picture(found: Escalation, tmp_path: Path) -> None:
    said = str(found)
    assert "guess.label alone" in said
    assert "expert alone" in said
    assert "20%" in said
    assert json.loads(json.dumps(found.to_dict()))["equal_share"]["value"] == found.equal_share.value
    assert plots.escalation(found, tmp_path / "curve.png").stat().st_size > 10_000
    with pytest.raises(mt.DataError, match="no picture"):
        plots.escalation(found, "curve.txt")


def test_what_flatters_and_what_could_not_be_had_is_said(fitted: mt.Fitted, found: Escalation) -> None:
    assert not found.problems
    flattered = fitted.escalation(train)
    learnt = len(train.asked[Ticket])
    assert learnt in flattered.problems.values()
    assert f"{learnt} x requests that the fit has learnt from" in str(flattered)


def test_where_only_all_calls_are_as_good_no_saving_is_claimed(found: Escalation) -> None:
    never = replace(found, equal_share=Estimate(1.0, 0.9, 1.0, found.n))
    assert found.points[-1].asked < 1
    assert "at no budget as good as expert alone" in str(never)
    assert "no budget asks about those" in str(never)
    asked = replace(never, points=(*never.points[:-1], replace(never.points[-1], asked=1.0)))
    assert "only where it is asked about all" in str(asked)
    assert "no budget" not in str(asked)
    assert "saves" not in str(never) + str(asked)


def test_of_one_request_nothing_is_told(fitted: mt.Fitted) -> None:
    _, last = tickets().split(at="1970-01-01T16:39:00")
    found = fitted.escalation(last)
    assert found.n == 1
    assert "not enough data: these requests do not tell expert from guess.label" in str(found)
    assert "calibration error not known: not enough data" in str(found)
    assert "no better" not in str(found)


def test_a_strong_model_that_is_surely_worse_is_said_to_be(found: Escalation) -> None:
    assert found.gap.sure
    assert found.gap.value == pytest.approx((found.strong.value or 0) - (found.cheap.value or 0))
    worse = replace(found, gap=Estimate(-0.2, -0.3, -0.1, found.n))
    assert "expert is no better than guess.label here" in str(worse)


def test_what_cannot_be_told_is_refused(fitted: mt.Fitted, tmp_path: Path) -> None:
    plain = mt.Graph(topic=guess.label).fit(train, store=tmp_path, quiet=True)
    with pytest.raises(mt.DataError, match="nothing is escalated"):
        plain.escalation(test)
    with pytest.raises(mt.DataError, match="'tpoic'") as refused:
        fitted.escalation(test, name="tpoic")
    assert "topic" in str(refused.value)
    for test_part in (5, None):
        with pytest.raises(mt.DataError, match=f"test={test_part} is no data"):
            fitted.escalation(cast(Any, test_part))
    with pytest.raises(mt.DataError, match="prices=0 are no prices"):
        fitted.escalation(test, cast(Any, 0))
    with pytest.raises(mt.DataError, match="no language model"):
        fitted.escalation(test, mt.Prices(tokens={"gpt": (1.0, 2.0)}))


def test_an_escalation_returns_something_over_the_cheap_model_alone(fitted: mt.Fitted) -> None:
    found = fitted.returns(test, mt.Worth(correct=1.0, wrong=-1.0))
    (row,) = found.rows
    assert (row.strong, row.cheap, row.metric) == ("expert", "guess.label", "accuracy")
    assert row.verdict is not None
    assert row.verdict.word == "keep"
