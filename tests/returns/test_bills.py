"""What a fitted graph has cost: every second of work and every token once, whoever used it first."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import motet as mt
from motet.batch import Array, Batch, Codes
from motet.clock import once
from motet.llm import Prompt
from motet.model import State
from motet.returns.bills import PER, billed
from tests.llm.test_openai import serving
from tests.probe import Probe
from tests.run.test_runner import by_length
from tests.shop import Buyer, Purchase, shop
from tests.tickets import NAMES, Ticket, guess, tickets

SECONDS = mt.Prices(cpu_hour=3600.0)
BURNT = 0.2


@dataclass(frozen=True)
class Taught(mt.Model):
    """Asks a language model once, while it is fitted."""

    llm: mt.LLM

    def __call__(self, amount: mt.Number) -> mt.Number:
        return mt.column(mt.Number, self, mt.learn(self, target=Purchase.stars, amount=amount), amount=amount)

    def fit(self, batch: Batch, target: Any) -> mt.State:
        self.llm.open().complete([Prompt("what are stars?")], max_tokens=5)
        return mt.State()

    def apply(self, state: mt.State, batch: Batch) -> Array:
        return batch["amount"]


def test_tokens_of_a_fit_are_paid_for_by_the_requests_that_use_it(tmp_path: Path) -> None:
    with serving(by_length) as url:
        graph = mt.Graph(stars=Taught(mt.LLM("teacher", url=url))(Purchase.amount))
        fitted = graph.fit(shop(), store=tmp_path, quiet=True)
    prices = mt.Prices(tokens={"teacher": (1e6, 3e6)})
    bill = billed(fitted, {}, prices, requests=10, lasting=500)
    assert bill.prepared == pytest.approx(PER * (len("what are stars?") + 3 * 2) / 500)
    assert bill.live == 0


@dataclass(frozen=True)
class Asked(mt.Model):
    """Asks a language model once for every batch of its."""

    llm: mt.LLM

    def __call__(self, amount: mt.Number) -> mt.Number:
        return mt.column(mt.Number, self, amount=amount)

    def apply(self, state: mt.State, batch: Batch) -> Array:
        self.llm.open().complete([Prompt("what is it?")], max_tokens=5)
        return batch["amount"]


def test_tokens_of_what_a_fit_reads_are_part_of_it_each_at_its_model_s_price(tmp_path: Path) -> None:
    with serving(by_length) as url:
        read = Asked(mt.LLM("reader", url=url))(Purchase.amount)
        graph = mt.Graph(stars=Taught(mt.LLM("teacher", url=url))(read))
        fitted = graph.fit(shop(), store=tmp_path, quiet=True)
        again = graph.fit(shop(), store=tmp_path, quiet=True)
    prices = mt.Prices(tokens={"teacher": (1e6, 3e6), "reader": (10e6, 0)})
    for each in (fitted, again):
        bill = billed(each, {}, prices, requests=10, lasting=500)
        assert bill.prepared == pytest.approx(PER * (len("what are stars?") + 3 * 2 + 10 * len("what is it?")) / 500)


@dataclass(frozen=True)
class Sure(mt.Model):
    """Is always right, and asks a language model once for every batch."""

    llm: mt.LLM

    def __call__(self, side: mt.Number, target: mt.Category) -> mt.Category:
        return mt.column(mt.Category, self, held_against=target, side=side)

    def apply(self, state: mt.State, batch: Batch) -> Codes:
        self.llm.open().complete([Prompt("which one is it?")], max_tokens=5)
        return Codes(np.asarray(batch["side"]).astype(np.int32), NAMES)


def test_what_a_router_asked_the_strong_model_while_it_was_fitted_is_paid_for(tmp_path: Path) -> None:
    with serving(by_length) as url:
        strong = Sure(mt.LLM("dear", url=url))(Ticket.side, target=Ticket.topic)
        graph = mt.Graph(topic=guess.label.escalate(strong, budget=0.2))
        fitted = graph.fit(tickets(300), store=tmp_path, quiet=True)
    bill = billed(fitted, {}, mt.Prices(tokens={"dear": (1e6, 0)}), requests=10, lasting=500)
    assert bill.prepared == pytest.approx(PER * len("which one is it?") / 500)


def test_gpus_are_paid_for_while_their_endpoint_works(tmp_path: Path) -> None:
    with serving(by_length, pause=0.2) as url:
        read = Asked(mt.LLM("reader", url=url, gpus=2))(Purchase.amount)
        graph = mt.Graph(stars=Taught(mt.LLM("teacher", url=url, gpus=1))(read))
        fitted = graph.fit(shop(), store=tmp_path, quiet=True)
    bill = billed(fitted, {}, mt.Prices(gpu_hour=3600.0), requests=10, lasting=500)
    assert bill.prepared == pytest.approx(PER * 0.2 * (2 + 1) / 500, rel=0.3)


def test_a_price_for_gpus_that_nobody_takes_is_refused(tmp_path: Path) -> None:
    fitted = mt.Graph(topic=guess.label.otherwise(None)).fit(tickets(300), store=tmp_path, quiet=True)
    with pytest.raises(mt.DataError, match=r"gpu_hour=2\.0 prices nothing") as refused:
        fitted.returns(tickets(300), prices=mt.Prices(gpu_hour=2.0))
    assert "gpus=1" in refused.value.help


def burn() -> None:
    """Takes the processor for a while."""
    until = time.process_time() + BURNT
    while time.process_time() < until:
        pass


class Slow(Probe):
    """A probe whose fit takes a while."""

    def fit(self, batch: Batch, target: Any) -> State:
        burn()
        return super().fit(batch, target)


@mt.function(mt.Number)
def dear(age: Array) -> Array:
    burn()
    return np.sqrt(age)


@dataclass(frozen=True)
class Long(mt.Model):
    """Takes the processor for as many seconds as its rows say."""

    def __call__(self, seconds: mt.Number) -> mt.Number:
        return mt.column(mt.Number, self, seconds=seconds)

    def apply(self, state: mt.State, batch: Batch) -> Array:
        until = time.process_time() + float(np.sum(batch["seconds"]))
        while time.process_time() < until:
            pass
        return batch["seconds"]


def ahead(fitted: mt.Fitted) -> float:
    """Seconds of processor that the graph took before any request."""
    return billed(fitted, {}, SECONDS, requests=1, lasting=1_000).prepared


def test_what_a_column_took_while_a_model_was_fitted_is_the_column_s_and_not_the_fit_s_too(tmp_path: Path) -> None:
    told = Probe("told")(dear(Buyer.age), at=Purchase.at, target=Purchase.stars)
    fitted = mt.Graph(told=told).fit(shop(), store=tmp_path, quiet=True)
    (name,) = fitted.states.names.values()
    about = fitted.store.about(name)
    assert about is not None
    assert 0 <= about["cpu_seconds"] < BURNT / 2
    assert 0 <= about["seconds"] < BURNT / 2
    assert ahead(fitted) == pytest.approx(BURNT, rel=0.15)


class Loading(Probe):
    """A probe that loads a library before it is fitted."""

    def fit(self, batch: Batch, target: Any) -> State:
        load()
        return super().fit(batch, target)


@mt.function(mt.Number)
def loaded(amount: Array) -> Array:
    load()
    return amount


@once()
def load() -> None:
    burn()


@dataclass(frozen=True)
class Teacher(mt.Model):
    """Loads a library for rows that are kept."""

    costly: ClassVar[bool] = True

    def __call__(self, amount: mt.Number) -> mt.Number:
        return mt.column(mt.Number, self, amount=amount)

    def apply(self, state: mt.State, batch: Batch) -> Array:
        load()
        return batch["amount"]


def test_what_a_process_loads_once_is_billed_to_no_fit_and_to_nothing_that_it_reads(tmp_path: Path) -> None:
    told = Loading("told")(loaded(Purchase.amount), loaded(Buyer.age), at=Purchase.at, target=Purchase.stars)
    taught = mt.taught(told, by=Teacher()(Purchase.amount))
    fitted = mt.Graph(told=taught).fit(shop(), store=tmp_path, quiet=True)
    (name,) = fitted.states.names.values()
    about = fitted.store.about(name)
    assert about is not None
    assert 0 <= about["seconds"] < BURNT / 2
    assert 0 <= ahead(fitted) < BURNT / 2


def test_fits_that_only_another_fit_has_read_are_part_of_the_bill(tmp_path: Path) -> None:
    lower = Slow("lower")(Purchase.amount, at=Purchase.at, target=Purchase.stars)
    upper = Slow("upper")(lower, at=Purchase.at, target=Purchase.stars)
    alone = mt.Graph(lower=lower).fit(shop(), store=tmp_path, quiet=True)
    both = mt.Graph(upper=upper).fit(shop(), store=tmp_path, quiet=True)
    assert ahead(alone) == pytest.approx(BURNT, rel=0.15)
    assert ahead(both) == pytest.approx(3 * BURNT, rel=0.15), "the lower one was fitted on earlier events first"


def test_a_fit_that_was_kept_costs_what_it_took_when_it_was_made(tmp_path: Path) -> None:
    slow = mt.Graph(slow=Slow("slow")(Purchase.amount, at=Purchase.at, target=Purchase.stars))
    first, again = (slow.fit(shop(), store=tmp_path, quiet=True) for _ in range(2))
    assert ahead(again) == ahead(first) > BURNT / 2


def test_two_columns_of_one_model_cost_each_what_it_took_itself(tmp_path: Path) -> None:
    rows = len(shop().tables[Buyer])
    short, long = (Long()(0.0 * Buyer.age + seconds / rows) for seconds in (0.0, BURNT))
    graphs = [
        mt.Graph(told=Probe("told")(column, at=Purchase.at, target=Purchase.stars)) for column in (short, long, short)
    ]
    first, second, again = (ahead(graph.fit(shop(), store=tmp_path, quiet=True)) for graph in graphs)
    assert first == pytest.approx(again, abs=BURNT / 10)
    assert second - first == pytest.approx(BURNT, rel=0.3)
