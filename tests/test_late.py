"""What is answered when something late is not there in time, or fails: its otherwise, and a note why."""

import time
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

import motet as mt
from motet.batch import Batch
from motet.column import Unready
from tests.shop import Purchase, asked_batch, shop


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
