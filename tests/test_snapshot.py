"""A published version holds all that its answers depend on: data, states, columns; another process reads the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motet as mt
from motet.batch import Codes
from motet.errors import RunError
from tests.shop import Buyer, Item, Purchase, shop

ASKS: list[dict[str, Any]] = [
    {"buyer": "b3", "at": 2_000_000, "amount": 5.0},
    {"buyer": "b4", "at": 2_000_000, "amount": 50.0, "search": "tea number 3"},
    {"buyer": "nobody", "at": 2_000_000, "amount": 7.5},
]


def graph(k: int = 3) -> mt.Graph:
    bought = mt.past(Purchase.item, by=Purchase.buyer)
    named = mt.BM25()(Item.name, Purchase.search)
    found = mt.retrieve(Item, k=8, by=[mt.ALS(dim=4)(bought, Item), mt.Popular()(Purchase.item), named])
    features = (Item.kind, Item.price * 2, Purchase.buyer.age, bought.count(), Purchase.amount)
    return mt.Graph(top=mt.LightGBM("lambdarank", trees=5)(found, *features, target=Purchase.item).top(k))


def ready(store: Path, data: mt.Data) -> mt.Fitted:
    fitted = graph().fit(data, store=store, quiet=True)
    fitted.prepare()
    return fitted


@pytest.fixture(scope="module")
def data() -> mt.Data:
    return shop()


@pytest.fixture(scope="module")
def store(data: mt.Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one version; tests that publish or break something make their own."""
    folder = tmp_path_factory.mktemp("store")
    ready(folder, data)
    return folder


def opened(store: Path) -> mt.Fitted:
    return mt.published(graph(), store=store, quiet=True)


def test_what_is_published_answers_as_the_fitted_graph_does(store: Path, data: mt.Data) -> None:
    assert opened(store).ask_many(ASKS) == graph().fit(data, store=store, quiet=True).ask_many(ASKS)


ANSWERING = """
import json, sys
from pathlib import Path
from tests import test_snapshot as t
print(json.dumps(t.opened(Path(sys.argv[1])).ask_many(t.ASKS)))
"""


def test_another_process_reads_the_same(store: Path) -> None:
    """Nothing of the process that published is needed: no sources, no fit."""
    told = subprocess.run([sys.executable, "-c", ANSWERING, str(store)], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == opened(store).ask_many(ASKS)


def test_the_data_come_back_as_they_were(store: Path, data: mt.Data) -> None:
    back = opened(store).data
    for record in (Item, Buyer, Purchase):
        assert {name: back.token(record, name) for name in record.fields} == {
            name: data.token(record, name) for name in record.fields
        }
    assert back.rows_token(Purchase) == data.rows_token(Purchase)
    bought = back.tables[Purchase].columns["item"]
    assert isinstance(bought, Codes)
    assert bought.names is back.tables[Item].keys  # references are rows of the entity's own table


def test_only_events_of_the_train_part_are_seen(tmp_path: Path, data: mt.Data) -> None:
    """What happened later than the data were known is not in the version's histories either."""
    train, _ = data.split(at=1_006_000 * 10**6)
    ready(tmp_path, train)
    back = opened(tmp_path).data
    assert np.array_equal(back.seen[Purchase], train.seen[Purchase])
    assert len(back.seen[Purchase]) < len(data.seen[Purchase])
    assert back.until == train.until


def test_a_published_version_prepares_the_next(tmp_path: Path, data: mt.Data) -> None:
    ready(tmp_path, data)
    before = opened(tmp_path)
    answers = before.ask_many(ASKS)
    assert before.prepare(shop(items=15)).version == 2
    after = opened(tmp_path)
    assert len(after.data.tables[Item]) == 15
    assert len(before.store.versions("graph")) == 2
    before.store.rollback("graph")
    assert opened(tmp_path).ask_many(ASKS) == answers


def test_a_version_knows_the_seed_that_it_was_fitted_with(tmp_path: Path, data: mt.Data) -> None:
    fitted = graph().fit(data, store=tmp_path, quiet=True, seed=7)
    fitted.prepare()
    assert opened(tmp_path).seed == 7
    opened(tmp_path).prepare()
    assert opened(tmp_path).seed == 7, "the version after it too"
    again = graph().fit(opened(tmp_path).data, store=tmp_path, quiet=True, seed=opened(tmp_path).seed)
    assert again.states.names == fitted.states.names


def test_a_version_from_before_seeds_were_kept_has_none(tmp_path: Path, data: mt.Data) -> None:
    store = ready(tmp_path, data).store
    current = store.current("graph")
    assert current is not None
    store.publish({name: part for name, part in current[1].items() if name != "seed"})
    assert opened(tmp_path).seed == 0


def test_versions_share_what_did_not_change(tmp_path: Path, data: mt.Data) -> None:
    fitted = ready(tmp_path, data)
    files = {path.name for path in tmp_path.glob("values/*")}
    fitted.prepare(shop(buyers=20, items=12, events=400))
    assert {path.name for path in tmp_path.glob("values/*")} == files


def test_graphs_of_other_names_are_apart(tmp_path: Path, data: mt.Data) -> None:
    fitted = graph().fit(data, store=tmp_path, quiet=True)
    fitted.prepare(name="shop")
    with pytest.raises(RunError, match="nothing is published as 'graph'"):
        opened(tmp_path)
    assert mt.published(graph(), name="shop", store=tmp_path, quiet=True).ask(**ASKS[0])


def test_another_graph_is_refused(store: Path) -> None:
    with pytest.raises(RunError, match="has changed since it was prepared"):
        mt.published(graph(k=4), store=store, quiet=True)


@pytest.mark.parametrize("part", ["states", "values"])
def test_a_part_that_is_gone_is_named(tmp_path: Path, data: mt.Data, part: str) -> None:
    ready(tmp_path, data)
    for path in (tmp_path / part).iterdir():
        path.unlink()
    with pytest.raises(RunError, match="which is gone from") as error:
        opened(tmp_path)
    assert "motet" in error.value.help


def test_a_sweep_leaves_what_is_published(tmp_path: Path, data: mt.Data) -> None:
    fitted = ready(tmp_path, data)
    answers = opened(tmp_path).ask_many(ASKS)
    for events in (410, 420, 430, 440):
        fitted.prepare(shop(events=events))
    fitted.prepare(data)
    assert fitted.store.sweep(keep=1, seconds=0) > 0
    assert opened(tmp_path).ask_many(ASKS) == answers


def test_a_store_that_is_prepared_every_week_stops_growing(tmp_path: Path, data: mt.Data) -> None:
    fitted = ready(tmp_path, data)
    kept: list[int] = []
    for week in range(8):
        for path in tmp_path.rglob("*"):
            os.utime(path, (time.time() - 1e6, time.time() - 1e6))
        fitted.prepare(shop(events=400 + week))
        kept.append(len(list(tmp_path.glob("values/*"))))
    assert [version.number for version in fitted.store.versions("graph")][-3:] == [7, 8, 9]
    assert len(fitted.store.versions("graph")) <= 4
    assert kept[-1] == kept[-2] == kept[-3]
    assert fitted.store.rollback("graph") == 8
    assert len(opened(tmp_path).ask_many(ASKS)) == len(ASKS)
