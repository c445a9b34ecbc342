"""What is published takes over while asks are answered; what cannot answer never does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import motet as mt
from motet import loading
from motet.batch import Batch
from motet.errors import GraphError
from motet.model import Model, State
from motet.serve import server as serving
from motet.serve.beside import Share
from motet.serve.log import Log, opened
from motet.serve.metrics import Metrics
from motet.serve.server import Beside
from motet.serve.trial import examples
from motet.serve.version import Version
from motet.serve.versions import Versions
from tests.serve.served import NAME, Served, prepared, served
from tests.shop import Buyer, Item, Purchase


@dataclass(frozen=True)
class Moody(Model):
    """Answers the mean star; of a mean above 10 nothing, and above 100 it fails."""

    def __call__(self, number: mt.Number, target: mt.Number) -> mt.Number:
        return mt.column(mt.Number, self, mt.learn(self, target=target, number=number), number=number)

    def fit(self, batch: Batch, target: np.ndarray) -> State:
        return State(mean=float(target.mean()))

    def apply(self, state: State, batch: Batch) -> np.ndarray:
        if state["mean"] > 100:
            raise ValueError("/etc/secrets/moody.json is not there")
        return batch["number"] * 0 + (np.nan if state["mean"] > 10 else state["mean"])


mood = Moody()(Purchase.amount, Purchase.stars)
moods = mt.Graph(mood=mood, seen=mt.past(Purchase.item, by=Purchase.buyer).count())


def town(stars: float) -> mt.Data:
    """Purchases that all got so many stars."""
    rows = [{"buyer": f"b{i % 9}", "at": 60 * i, "amount": 2.0, "item": i % 3, "stars": stars} for i in range(40)]
    goods = [{"item_id": i, "name": "tea", "price": 1.0, "kind": "tea"} for i in range(3)]
    people = [{"buyer_id": f"b{i}", "age": 30.0} for i in range(9)]
    return mt.Data({Item: goods, Buyer: people, Purchase: rows})


def publish(folder: Path, stars: float) -> int:
    done = moods.fit(town(stars), store=folder, quiet=True).prepare(name=NAME)
    assert done.version
    return done.version


def mood_of(running: Served, buyer: str = "b1") -> tuple[int, float | None, float]:
    said = running.ask(buyer=buyer, amount=1.0).json
    return said["version"], said["answer"]["mood"], said["propensity"]


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not holds():
        time.sleep(0.02)
    return holds()


def count(running: Served, name: str) -> float:
    lines = running.server.metrics.text().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_a_published_version_takes_over_and_a_rollback_brings_the_old_one_back(tmp_path: Path) -> None:
    with served(prepared(tmp_path, moods, town(1.0))) as running:
        assert mood_of(running) == (1, 1.0, 1.0)
        failed, stop = list[int](), threading.Event()

        def keep_asking() -> None:
            while not stop.is_set():
                status = running.ask(buyer="b2", amount=1.0).status
                failed.extend([status] if status != 200 else [])

        asking = threading.Thread(target=keep_asking)
        asking.start()
        publish(tmp_path, 2.0)
        took_over = within(10, lambda: running.server.version.number == 2)
        assert running.server.version.fitted.store.rollback(NAME) == 1
        came_back = within(10, lambda: running.server.version.number == 1)
        stop.set()
        asking.join()
        assert (took_over, came_back, failed) == (True, True, [])
        assert mood_of(running) == (1, 1.0, 1.0)
        assert count(running, "motet_versions_switched_total") == 2


@pytest.mark.parametrize("stars", [50.0, 500.0], ids=["has nothing to say", "fails"])
def test_a_version_that_cannot_answer_is_refused_once_and_the_old_one_stays(
    tmp_path: Path, stars: float, caplog: pytest.LogCaptureFixture
) -> None:
    with served(prepared(tmp_path, moods, town(1.0))) as running:
        assert mood_of(running)[0] == 1
        publish(tmp_path, stars)
        assert within(10, lambda: count(running, "motet_versions_refused_total") == 1)
        time.sleep(1.5)
        assert mood_of(running) == (1, 1.0, 1.0)
        assert [record.message for record in caplog.records if "refused" in record.message] != []
        assert len([record for record in caplog.records if "refused" in record.message]) == 1
        publish(tmp_path, 3.0)
        assert within(10, lambda: running.server.version.number == 3)


def test_a_server_that_starts_while_a_broken_version_is_published_answers_from_the_one_before(tmp_path: Path) -> None:
    prepared(tmp_path, moods, town(1.0))
    publish(tmp_path, 500.0)
    with served(mt.published(moods, name=NAME, store=tmp_path, quiet=True)) as running:
        assert mood_of(running) == (1, 1.0, 1.0)


def test_what_keeps_a_server_from_looking_for_a_version_is_one_line_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "EVERY", 0.05)
    current = tmp_path / "versions" / NAME / "CURRENT"
    with served(prepared(tmp_path, moods, town(1.0))) as running:
        current.write_text("abc")
        assert within(10, lambda: "is damaged" in caplog.text)
        time.sleep(0.3)
        assert mood_of(running) == (1, 1.0, 1.0)
        (said,) = [record for record in caplog.records if "could not look" in record.message]
        assert "motet rollback" in said.message
        assert (said.exc_info, "\n" in said.message) == (None, False)
        publish(tmp_path, 2.0)
        assert within(10, lambda: running.server.version.number == 2)


def test_what_has_happened_is_in_the_past_of_the_version_that_takes_over(tmp_path: Path) -> None:
    log = Log(opened(None, NAME, tmp_path))
    with served(prepared(tmp_path, moods, town(1.0)), log=log) as running:
        before = running.ask(buyer="b1", amount=1.0).json["answer"]["seen"]
        happened = {"buyer": "b1", "at": time.time() - 5, "amount": 2.0, "item": 1, "stars": 1.0}
        assert running.call("POST", "/v1/events", happened).status == 201
        assert running.ask(buyer="b1", amount=1.0).json["answer"]["seen"] == before + 1
        publish(tmp_path, 2.0)
        assert within(10, lambda: running.server.version.number == 2)
        assert running.ask(buyer="b1", amount=1.0).json["answer"]["seen"] == before + 1


def test_a_canary_answers_its_share_of_viewers_always_the_same_ones(tmp_path: Path) -> None:
    current = prepared(tmp_path, moods, town(1.0))
    publish(tmp_path, 2.0)
    current.store.rollback(NAME)
    log = tmp_path / "answers.jsonl"
    with served(current, beside=Beside(canary=Share(2, 0.25), answers=log)) as running:
        said = {f"n{i}": mood_of(running, f"n{i}") for i in range(200)}
        assert {name: mood_of(running, name) for name in list(said)[:20]} == dict(list(said.items())[:20])
    assert set(said.values()) == {(1, 1.0, 0.75), (2, 2.0, 0.25)}
    assert 0.15 < sum(version == 2 for version, _, _ in said.values()) / 200 < 0.35
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["ask"]["buyer"], line["version"], line["propensity"]) for line in lines[:200]] == [
        (name, version, propensity) for name, (version, _, propensity) in said.items()
    ]


def test_a_canary_may_be_defined_otherwise(tmp_path: Path) -> None:
    """Versions 1 and 2 are of two definitions of one graph, as after a model was changed."""
    other = tmp_path / "other.py"
    other.write_text(
        "import motet as mt\nfrom tests.serve.test_versions import Moody, Purchase\n"
        "moods = mt.Graph(mood=Moody()(Purchase.amount + 0, Purchase.stars))\n"
    )
    store = tmp_path / "store"
    loading.graph(f"{other}:moods").fit(town(2.0), store=store, quiet=True).prepare(name=NAME)
    current = prepared(store, moods, town(1.0))
    with served(current, beside=Beside(canary=Share(1, 0.25, f"{other}:moods"))) as running:
        said = {mood_of(running, f"n{i}") for i in range(60)}
    assert said == {(2, 1.0, 0.75), (1, 2.0, 0.25)}
    with pytest.raises(GraphError, match="version 1 is of another definition of goods") as refused:
        Versions(NAME, Metrics(), lambda version: None).beside(Version(current, 2), Share(1, 0.5))
    assert "before.py:goods@1=5%" in refused.value.help


def test_a_shadow_answers_nobody_and_is_compared(tmp_path: Path) -> None:
    current = prepared(tmp_path, moods, town(1.0))
    publish(tmp_path, 2.0)
    current.store.rollback(NAME)
    with served(current, beside=Beside(shadow=Share(2, 1.0))) as running:
        for i in range(5):
            assert mood_of(running, f"b{i}") == (1, 1.0, 1.0)
            assert within(5, lambda i=i: count(running, "motet_shadow_asks_total") == i + 1)
        assert count(running, "motet_shadow_equal_total") == 0


def test_a_canary_that_cannot_answer_gets_nobody(tmp_path: Path) -> None:
    current = prepared(tmp_path, moods, town(1.0))
    publish(tmp_path, 500.0)
    current.store.rollback(NAME)
    with served(current, beside=Beside(canary=Share(2, 0.9))) as running:
        assert {mood_of(running, f"n{i}") for i in range(20)} == {(1, 1.0, 1.0)}


def test_examples_are_the_last_events_as_asks(tmp_path: Path) -> None:
    version = Version(prepared(tmp_path, moods, town(1.0)), 1)
    assert examples(version)[-1] == {"buyer": "b3", "amount": 2.0, "search": ""}


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("7=5%", Share(7, 0.05)),
        ("7=0.5", Share(7, 0.5)),
        ("7", Share(7, 0.1)),
        ("a.py:g@7=5%", Share(7, 0.05, "a.py:g")),
    ],
)
def test_a_share_is_read_as_people_write_it(text: str, share: Share) -> None:
    assert Share.read(text, usual=0.1) == share


@pytest.mark.parametrize("text", ["", "x=5%", "7=", "7=0%", "7=200%", "7=nan"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(GraphError, match="no share of a version"):
        Share.read(text)
