"""What a fitted graph has cost: every second of work once, whoever did it first."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motet as mt
from motet.batch import Array, Batch
from motet.bills import billed
from motet.model import State
from tests.probe import Probe
from tests.shop import Buyer, Purchase, shop

SECONDS = mt.Prices(cpu_hour=3600.0)
BURNT = 0.2


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
