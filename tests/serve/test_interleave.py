"""Two versions share one list: what viewers take of it says whose items they prefer."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import motet as mt
from motet.fitted import Fitted
from motet.returns.served import served as judged
from motet.serve.beside import Share
from motet.serve.server import Beside
from tests.serve.served import NAME, Served, prepared, served
from tests.shop import Buyer, Item, Purchase
from tests.test_late import Slow

ROUND, RECTANGULAR = list(range(6)), list(range(6, 12))


seen = mt.past(Purchase.item, by=Purchase.buyer)
found = mt.retrieve(Item, k=6, by=[mt.Popular()(Purchase.item)], exclude=seen)
shelf = mt.Graph(top=found.top(4), greeting=Slow(0.05)(Purchase.search).within(seconds=5, otherwise=""))


def sold(items: list[int]) -> mt.Data:
    """A shop that sold these alone, the first of them most often."""
    goods = [{"item_id": i, "name": f"tea {i}", "price": 1.0, "kind": "tea"} for i in range(12)]
    numbers = [item for rank, item in enumerate(items) for _ in range(9 - rank)]
    rows = [{"buyer": "b0", "at": 60 * i, "amount": 2.0, "item": n, "stars": 3.0} for i, n in enumerate(numbers)]
    return mt.Data({Item: goods, Buyer: [{"buyer_id": "b0", "age": 30.0}], Purchase: rows})


@pytest.fixture
def first(tmp_path: Path) -> Fitted:
    """Version 1, which knows the round things, and answers; version 2 knows the others."""
    fitted = prepared(tmp_path, shelf, sold(ROUND))
    shelf.fit(sold(RECTANGULAR), store=tmp_path, quiet=True).prepare(name=NAME)
    fitted.store.rollback(NAME)
    return fitted


@pytest.fixture
def running(first: Fitted, tmp_path: Path) -> Iterator[Served]:
    with served(first, beside=Beside(interleave=Share(2, 0.5), answers=tmp_path / "answers.jsonl")) as running:
        yield running


def asked(running: Served, buyers: int) -> dict[str, list[int]]:
    """What each of so many buyers is shown."""
    names = [f"n{i}" for i in range(buyers)]
    with ThreadPoolExecutor(16) as many:
        said = many.map(lambda name: running.ask(buyer=name, amount=1.0).json["answer"], names)
    answers = dict(zip(names, said, strict=True))
    assert {answer["greeting"] for answer in answers.values()} == {"hello"}
    return {name: [item["item_id"] for item in answer["top"]] for name, answer in answers.items()}


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]


def test_a_share_of_the_viewers_sees_the_best_of_both_by_turns(running: Served, tmp_path: Path) -> None:
    shown = asked(running, 40)
    both = {name: items for name, items in shown.items() if items != ROUND[:4]}
    assert 8 < len(both) < 32
    for items in both.values():
        assert sorted(items) == [0, 1, 6, 7], "the two best of each"
        assert [item for item in items if item in ROUND] == [0, 1]
    assert {items[0] for items in both.values()} == {0, 6}, "a coin says who begins"
    for line in lines(tmp_path):
        name = line["ask"]["buyer"]
        assert (line["version"], line["propensity"]) == (1, 0.5)
        assert line.get("rival") == (2 if name in both else None)
        if name in both:
            assert line["ours"] == {"top": [item in ROUND for item in shown[name]]}
    again = asked(running, 12)
    assert {name for name, items in again.items() if items != ROUND[:4]} == both.keys() & again.keys(), "the same ones"


def test_what_viewers_take_of_it_says_which_version_they_prefer(running: Served, tmp_path: Path) -> None:
    shown = asked(running, 40)
    now = time.time() + 1
    happened = [{"buyer": name, "at": now, "item": 6 if 6 in items else 0} for name, items in shown.items()]
    happened.append({"buyer": "b0", "at": now + 99, "item": 0})
    found = judged(shelf, tmp_path / "answers.jsonl", happened, 1.0, within=90)
    (preference,) = found.preferences
    assert (preference.version, preference.rival, preference.lead.anytime.value) == (1, 2, -1.0)
    assert found.most == 1
    assert "what versions are worth alone cannot be told" in str(found), "the others did not see it alone"


def test_what_can_be_shown_at_once_is_and_stays_so(running: Served, tmp_path: Path) -> None:
    """Streamed: the list comes before the greeting, is not drawn anew with it, and is what is logged."""
    for i in range(6):
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        fields = json.dumps({"buyer": f"n{i}", "amount": 1.0})
        connection.request("POST", "/v1/ask", fields, {"Accept": "text/event-stream"})
        response = connection.getresponse()
        assert response.readline() == b"event: answer\n"
        early = json.loads(response.readline().removeprefix(b"data: "))
        rest = response.read().decode()
        connection.close()
        assert list(early) == ["top"]
        assert "item_id" not in rest
        assert '"greeting":"hello"' in rest
        assert lines(tmp_path)[i]["answer"]["top"] == early["top"]


def test_where_the_rival_cannot_answer_the_current_version_does(
    running: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = running.server.interleaved
    assert beside is not None
    monkeypatch.setattr(type(beside.rival), "begin", _failing(type(beside.rival).begin))
    shown = asked(running, 12)
    assert all(items == ROUND[:4] for items in shown.values())
    assert {line.get("rival") for line in lines(tmp_path)} == {None, 2}, "it had its chance, and put nothing there"
    assert all(line["ours"] == {} for line in lines(tmp_path) if "rival" in line)
    assert 'motet_failed_total{version="2"}' in running.server.metrics.text().decode()


def _failing(begin: Any) -> Any:
    def begun(version: Any, *args: Any) -> Any:
        if version.number == 2:
            raise mt.RunError("version 2 is out")
        return begin(version, *args)

    return begun


def test_a_version_is_not_interleaved_with_itself(first: Fitted, tmp_path: Path) -> None:
    with served(first, beside=Beside(interleave=Share(1, 1.0), answers=tmp_path / "answers.jsonl")) as running:
        assert all(items == ROUND[:4] for items in asked(running, 4).values())
    assert {(line["propensity"], line.get("rival")) for line in lines(tmp_path)} == {(1.0, None)}
