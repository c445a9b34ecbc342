"""The strong model is asked about the requests where that is worth it, and about no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import motet as mt
from motet.batch import Array
from motet.escalate import HELD, Allowance
from motet.run.context import Batched
from tests.tickets import Expert, Guess, Ticket, expert, guess, tickets

train, test = tickets().split(at="1970-01-01T11:40:00")


def replayed(label: mt.Category, folder: Path) -> tuple[mt.Fitted, Batched, list[str | None]]:
    """The graph fitted, its test part as one batch, and the labels that it gives."""
    fitted = mt.Graph(topic=label).fit(train, store=folder, quiet=True)
    run = fitted.context(test).batch(Ticket, test.asked[Ticket])
    said = run.value(label)
    return fitted, run, [None if code < 0 else said.names.tolist()[code] for code in said.codes]


def hard(run: Batched) -> Array:
    return np.asarray(run.value(Ticket.amount)) > 0.6


def truth(run: Batched) -> list[str]:
    return ["card" if side else "bill" for side in run.value(Ticket.side)]


def test_at_a_price_the_hard_ones_are_asked_about_and_only_they(tmp_path: Path) -> None:
    Expert.asked.clear()
    _, run, said = replayed(guess.label.escalate(expert, price=0.3), tmp_path)
    asked = Expert.asked[-1]
    assert abs(asked - hard(run).sum()) <= 0.06 * len(said)
    assert np.mean([a == b for a, b in zip(said, truth(run), strict=True)]) > 0.94
    ((_, column, spared),) = run.spared
    assert column == expert
    assert int(spared.sum()) == len(said) - asked


def test_where_the_cheap_one_is_right_nobody_is_asked(tmp_path: Path) -> None:
    Expert.asked.clear()
    sound = Guess(until=2.0)(Ticket.amount, Ticket.side, target=Ticket.topic)
    _, run, said = replayed(sound.label.escalate(expert, budget=1.0), tmp_path)
    assert Expert.asked == [len(train.asked[Ticket])]  # to fit the router, and never after
    assert said == truth(run)


def test_a_budget_takes_the_largest_gains_and_is_never_exceeded(tmp_path: Path) -> None:
    label = guess.label.escalate(expert, budget=0.2)
    fitted, run, _ = replayed(label, tmp_path)
    ((_, _, spared),) = run.spared
    assert 0.17 * len(spared) <= (~spared).sum() <= 0.2 * len(spared)
    assert hard(run)[~spared].all()
    context, asked = fitted.context(test), 0
    for row in test.asked[Ticket]:
        one = context.batch(Ticket, np.array([row]))
        one.value(label)
        asked += int((~one.spared[0][2]).sum())
        assert asked <= 0.2 * (row - test.asked[Ticket][0] + 1)
    assert asked >= 0.15 * len(test.asked[Ticket])


def test_what_is_never_wanted_by_rank_is_paid_for_from_what_was_saved() -> None:
    allowance, asked = Allowance(0.05), 0
    for n in range(1, 4_001):
        asked += int(allowance.granted(np.array([0.3]), np.array([True])).sum())
        assert asked <= 0.05 * n
    assert asked > 0.03 * 4_000


def test_where_the_strong_one_fails_the_cheap_label_stays(tmp_path: Path) -> None:
    broken = Expert(fails=True)(Ticket.amount, Ticket.side, target=Ticket.topic)
    label = guess.label.escalate(expert, price=0.3)
    fitted = mt.Graph(topic=label).fit(train, store=tmp_path, quiet=True)
    outline = fitted.outline.rewritten({expert.fingerprint: broken.node})
    escalated = outline.outputs["topic"]
    states = fitted.context(test).states
    context = mt.Fitted(outline, train, fitted.states, fitted.store, quiet=True).context(test)
    (learnt,) = fitted.outline.fits
    (asked,) = outline.fits
    context.states[asked.fingerprint] = states[learnt.fingerprint]
    run = context.batch(Ticket, test.asked[Ticket])
    assert np.array_equal(run.value(escalated).codes, run.value(guess.label).codes)
    ((column, problem, rows),) = run.fell
    assert (column, problem) == (broken, "the expert is out")
    assert rows is not None
    assert np.array_equal(rows, ~run.spared[0][2])


def test_where_the_strong_one_says_nothing_the_cheap_label_stays(tmp_path: Path) -> None:
    shy = Expert(silent_above=0.9)(Ticket.amount, Ticket.side, target=Ticket.topic)
    _, run, said = replayed(guess.label.escalate(shy, price=0.1), tmp_path)
    assert None not in said
    silent = np.asarray(run.value(Ticket.amount)) > 0.9
    ((column, problem, rows),) = run.fell
    assert (column, problem) == (shy, "it gave no label")
    assert rows is not None
    assert np.array_equal(rows, silent & ~run.spared[0][2])


def test_what_the_batch_has_computed_is_not_computed_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def told(amount: Array) -> Array:
        calls.append(len(amount))
        return amount

    shared = mt.function(mt.Number)(told)(Ticket.amount)
    other = Expert()(shared, Ticket.side, target=Ticket.topic)
    label = guess.label.escalate(other, shared, price=0.3)
    fitted = mt.Graph(topic=label).fit(train, store=tmp_path, quiet=True)
    calls.clear()
    fitted.context(test).batch(Ticket, test.asked[Ticket]).value(label)
    assert calls == [len(test.asked[Ticket])]


def test_what_is_saved_is_spent_later_but_not_without_end() -> None:
    allowance, gain = Allowance(0.5), np.array([True])
    idle = np.array([False])
    for _ in range(10 * HELD):
        allowance.granted(np.zeros(1), idle)
    granted = [bool(allowance.granted(np.zeros(1), gain)[0]) for _ in range(3 * HELD)]
    assert all(granted[:HELD])
    assert sum(granted[2 * HELD :]) == HELD / 2


def test_requests_that_come_again_earn_nothing() -> None:
    allowance, ranks, worth = Allowance(0.5), np.zeros(2), np.ones(2, bool)
    assert allowance.granted(ranks, worth).sum() == 1
    assert allowance.granted(ranks, worth, again=True).sum() == 0


def test_the_first_by_rank_are_granted() -> None:
    ranks, worth = np.array([0.3, 0.1, 0.0, 0.2]), np.array([True, True, False, True])
    assert Allowance(0.5).granted(ranks, worth).tolist() == [False, True, False, True]
    assert Allowance(0.15).granted(ranks, worth).tolist() == [False] * 4


def test_a_plan_says_how_many_requests_are_escalated_at_most(tmp_path: Path) -> None:
    graph = mt.Graph(topic=guess.label.escalate(expert, budget=0.2))
    first = graph.plan(store=tmp_path)
    occasions = {line.model: line.computed for line in first.lines}
    assert occasions["Expert()"] == "per request, for 20% at most"
    assert occasions["Guess()"] == "per request"
    graph.fit(train, store=tmp_path, quiet=True).evaluate(test)
    (line,) = (line for line in graph.plan(train, store=tmp_path).lines if line.model == "Expert()")
    assert line.seconds is not None
    assert line.cost == pytest.approx(0.2 * line.seconds)


def test_what_cannot_be_escalated_is_refused() -> None:
    label = guess.label
    with pytest.raises(mt.GraphError, match="either a price or a budget"):
        label.escalate(expert)
    with pytest.raises(mt.GraphError, match="either a price or a budget"):
        label.escalate(expert, price=0.1, budget=0.1)
    with pytest.raises(mt.GraphError, match="no share of the requests"):
        label.escalate(expert, budget=20)
    with pytest.raises(mt.GraphError, match="no part of what a right label is worth"):
        label.escalate(expert, price=-1)
    with pytest.raises(mt.GraphError, match="no share of the requests"):
        label.escalate(expert, budget=True)
    with pytest.raises(mt.GraphError, match="no part of what"):
        label.escalate(expert, price="0.1")  # pyright: ignore[reportArgumentType]
    with pytest.raises(mt.GraphError, match="not to 'expert'"):
        label.escalate("expert", price=0.1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(mt.GraphError, match="or both are one"):
        label.escalate(label, price=0.1)
    with pytest.raises(mt.GraphError, match="is escalated itself"):
        label.escalate(expert, price=0.1).escalate(expert, price=0.2)
    with pytest.raises(mt.GraphError, match="requests=0 teach nothing"):
        label.escalate(expert, price=0.1, requests=0)
    with pytest.raises(mt.GraphError, match="cannot fall back"):
        label.escalate(guess.confidence, price=0.1)  # pyright: ignore[reportArgumentType]
