"""What a graph's work comes to in money."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import motet as mt
from motet.batch import Array, Batch
from motet.bills import PER, billed
from motet.llm import Prompt
from tests.llm.test_openai import serving
from tests.run.test_runner import by_length
from tests.shop import Purchase, shop


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
