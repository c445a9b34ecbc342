"""What is answered when something late is not there in time, or fails: its otherwise, and a note why."""

import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

import motet as mt
from motet.apply import Whole
from motet.batch import Batch, Pairs
from motet.column import Unready
from motet.errors import FieldError
from tests.shop import Buyer, Item, Purchase, asked_batch, shop


@dataclass(frozen=True)
class Slow(mt.Model):
    """Greets every buyer, after a while."""

    seconds_taken: float = 0.0
    fails: bool = False
    says: str = ""
    calls_llm: ClassVar[bool] = True

    def __call__(self, text: mt.Text) -> mt.Late[mt.Text]:
        return mt.Late(mt.Text, mt.column(Unready, self, text=text))

    def apply(self, state: mt.State, batch: Batch) -> pa.Array:
        time.sleep(self.seconds_taken)
        if self.fails:
            raise mt.RunError("the endpoint is down")
        if self.says:
            batch.note(self.says)
        return pa.array(["hello"] * batch.rows, pa.large_string())


def test_what_is_there_in_time_is_answered() -> None:
    run = asked_batch(shop(events=10))
    assert set(run.value(Slow()(Purchase.search).within(seconds=5, otherwise="")).to_pylist()) == {"hello"}


def test_what_is_late_is_answered_by_its_otherwise_at_the_deadline() -> None:
    run = asked_batch(shop(events=10))
    started = time.perf_counter()
    said = run.value(Slow(3.0)(Purchase.search).within(seconds=0.1, otherwise="later"))
    assert set(said.to_pylist()) == {"later"}
    assert time.perf_counter() - started < 2.5
    assert [problem for _, problem in run.context.notes] == ["not there within 0.1 s"]


def test_what_fails_is_answered_by_its_otherwise_which_may_be_a_column() -> None:
    run = asked_batch(shop(events=10))
    said = run.value(Slow(fails=True)(Purchase.search).within(seconds=5, otherwise=Purchase.search + "?"))
    assert set(said.to_pylist()) == {"?"}
    assert [problem for _, problem in run.context.notes] == ["the endpoint is down"]


def test_what_a_model_says_of_a_row_does_not_mean_that_its_otherwise_answered() -> None:
    run = asked_batch(shop(events=10))
    run.value(Slow(says="one sentence was no sentence")(Purchase.search).within(seconds=5, otherwise=""))
    assert [problem for _, problem in run.context.notes] == ["one sentence was no sentence"]
    assert not run.fell
    run.value(Slow(fails=True)(Purchase.search).within(seconds=5, otherwise=""))
    assert len(run.fell) == 1


@dataclass(frozen=True)
class Counts(mt.Model):
    """Says of every request how many candidates it has and which is the first."""

    calls_llm: ClassVar[bool] = True

    def __call__(self, amount: mt.Number, found: mt.Candidates) -> mt.Late[mt.Text]:
        return mt.Late(mt.Text, mt.column(Unready, self, amount=amount, found=Whole(found)))

    def apply(self, state: mt.State, batch: Batch) -> pa.Array:
        found: Pairs = batch["found"]
        assert len(found) == batch.rows
        rows = zip(batch["amount"].tolist(), found.offsets[:-1].tolist(), found.offsets[1:].tolist(), strict=True)
        return pa.array([f"{amount:g}: {found.items[a:b].tolist()}" for amount, a, b in rows], pa.large_string())


found = mt.retrieve(Item, k=3, by=[mt.BM25()(Item.name, Purchase.search), mt.BM25()(Item.kind.text(), Purchase.search)])


def test_where_it_is_not_worth_asking_for_its_otherwise_answers() -> None:
    run = asked_batch(shop(events=40))
    amounts = run.value(Purchase.amount)
    late = Counts()(Purchase.amount, found)
    said = run.value(late.within(seconds=5, otherwise="cheap", where=Purchase.amount > 25)).to_pylist()
    everything = asked_batch(shop(events=40)).value(late.within(seconds=5, otherwise="")).to_pylist()
    assert 0 < (amounts > 25).sum() < len(amounts)
    expected = [text if amount > 25 else "cheap" for text, amount in zip(everything, amounts, strict=True)]
    assert said == expected
    ((_, _, spared),) = run.spared
    assert np.array_equal(spared, amounts <= 25)


def test_where_nothing_is_worth_asking_for_the_model_is_not_called() -> None:
    run = asked_batch(shop(events=10))
    said = run.value(Slow(fails=True)(Purchase.search).within(seconds=5, otherwise="no", where=Purchase.amount < 0))
    assert set(said.to_pylist()) == {"no"}
    assert not run.fell


def test_what_fails_where_it_was_asked_for_is_told_of_those_requests_alone() -> None:
    run = asked_batch(shop(events=40))
    where = Purchase.amount > 25
    said = run.value(Slow(fails=True)(Purchase.search).within(seconds=5, otherwise="no", where=where))
    assert set(said.to_pylist()) == {"no"}
    ((_, problem, rows),) = run.fell
    assert problem == "the endpoint is down"
    assert rows is not None
    assert np.array_equal(rows, run.value(where) == 1)


def test_a_condition_may_be_on_who_asks() -> None:
    data = shop(events=40)
    run = asked_batch(data)
    said = run.value(Slow()(Purchase.search).within(seconds=5, otherwise="young", where=Buyer.age >= 30)).to_pylist()
    ages = run.value(Purchase.lookup(Buyer.age))
    assert said == ["hello" if age >= 30 else "young" for age in ages]


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf"), "3", True, None])
def test_a_deadline_that_is_none_is_refused(seconds: Any) -> None:
    with pytest.raises(mt.GraphError, match="can never be met"):
        Slow()(Purchase.search).within(seconds=seconds, otherwise="")


@pytest.mark.parametrize("otherwise", [5, 1.5, ["a"], Purchase.amount])
def test_what_is_no_text_stands_in_for_none(otherwise: Any) -> None:
    with pytest.raises(mt.GraphError, match="cannot fall back on"):
        Slow()(Purchase.search).within(seconds=3, otherwise=otherwise)


def test_a_missing_condition_does_not_hold() -> None:
    run = asked_batch(shop(events=10))
    nothing = Purchase.amount / 0 > 1
    said = run.value(Slow()(Purchase.search).within(seconds=5, otherwise="no", where=nothing))
    assert set(said.to_pylist()) == {"no"}


def test_what_comes_late_is_no_column_before_its_deadline_is_said() -> None:
    late: Any = Slow()(Purchase.search)
    with pytest.raises(FieldError, match=r"is a Text that comes late, and has no 'lower'") as refused:
        late.lower()
    assert refused.value.help == ".within(seconds=3, otherwise=None).lower(...)"
    assert not hasattr(late, "_reference")
