"""The plan counts every column and computes none; a picture shows them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import motet as mt
from motet.batch import Array, Batch
from motet.cost import Cost
from motet.model import Model, State
from motet.plan import cost_key, span
from motet.store import Store
from tests.shop import Buyer, Item, Purchase, shop


@dataclass(frozen=True)
class Costly(Model):
    """Length of a text, as dear as a language model; `touchy` fails as soon as anything is computed."""

    costly: ClassVar[bool] = True
    touchy: bool = True

    def __call__(self, text: mt.Text) -> mt.Number:
        return mt.column(mt.Number, self, text=text)

    def apply(self, state: State, batch: Batch) -> Array:
        if self.touchy:
            raise AssertionError("a plan computed something")
        return np.array([len(text or "") for text in batch["text"].to_pylist()], np.float64)

    def fit(self, batch: Batch, target: Any) -> State:
        raise AssertionError("a plan fitted something")


@dataclass(frozen=True)
class Roomy(Model):
    """Takes 40 MB for its fit, or 60 MB for a call."""

    at: str

    def __call__(self, amount: mt.Number) -> mt.Number:
        return mt.column(mt.Number, self, mt.learn(self, target=Purchase.stars, amount=amount), amount=amount)

    def fit(self, batch: Batch, target: Any) -> State:
        return State(sum=float(np.ones(40_000_000 if self.at == "fit" else 1, np.uint8)[-1]))

    def apply(self, state: State, batch: Batch) -> Array:
        return batch["amount"] + np.ones(60_000_000 if self.at == "apply" else 1, np.uint8)[-1]


words = Item.name + " of " + Item.kind.text()
length = Costly()(words)
asked = Costly()(Purchase.search)
fame = mt.Popular()(Purchase.item)
found = mt.retrieve(Item, k=7, by=[fame, length], exclude=mt.past(Purchase.item, by=Purchase.buyer))
score = mt.LightGBM("lambdarank")(found, fame, length, asked, Item.price, target=Purchase.stars >= 4)
top = score.top(3)
graph = mt.Graph(top=top)


def lines(plan: Any) -> dict[str, Any]:
    return {line.column: line for line in plan.lines}


def test_nothing_is_computed_with_or_without_data(tmp_path: Path) -> None:
    assert graph.plan(store=tmp_path).lines
    assert graph.plan(shop(), store=tmp_path).lines
    assert list(tmp_path.iterdir()) == []


def test_columns_of_items_are_counted_by_their_rows(tmp_path: Path) -> None:
    line = lines(graph.plan(shop(items=12), store=tmp_path))["length"]
    assert (line.grain, line.times) == ("{Item}", 12)
    assert "item changes" in line.computed
    assert not line.per_request


def test_columns_of_requests_are_counted_once_per_request(tmp_path: Path) -> None:
    line = lines(graph.plan(shop(), store=tmp_path))["asked"]
    assert (line.grain, line.computed, line.times) == ("{Purchase}", "per request", 1)
    assert line.per_request


def test_columns_of_candidates_are_counted_by_how_many_there_are_at_most(tmp_path: Path) -> None:
    few = lines(graph.plan(shop(items=5), store=tmp_path))
    many = lines(graph.plan(shop(items=30), store=tmp_path))
    assert many["score"].times == 7, "k"
    assert few["score"].times == 5, "there are no more items"
    assert many["score"].grain == "{Purchase, Item}"
    assert "7 candidates" in many["score"].computed


def test_retrieval_looks_at_every_item(tmp_path: Path) -> None:
    assert lines(graph.plan(shop(items=30), store=tmp_path))["found"].times == 30


def test_without_data_the_number_of_rows_is_not_known(tmp_path: Path) -> None:
    plan = graph.plan(store=tmp_path)
    assert lines(plan)["length"].times is None
    assert lines(plan)["score"].times == 7
    assert "?" in str(plan)


def test_what_was_never_measured_is_said_to_be_so(tmp_path: Path) -> None:
    plan = graph.plan(shop(), store=tmp_path)
    assert lines(plan)["length"].seconds is None
    assert "not measured" in str(plan)


def heard(*said: str) -> mt.Data:
    """As many events, in which this was searched for."""
    events = [
        {"buyer": "b", "at": i, "search": text, "amount": 1.0, "item": 0, "stars": 5.0} for i, text in enumerate(said)
    ]
    items = [{"item_id": i, "name": "tea", "price": 1.0, "kind": "tea"} for i in range(4)]
    return mt.Data({Item: items, Buyer: [{"buyer_id": "b", "age": 30}], Purchase: events})


def test_rows_of_empty_text_do_not_stand_for_the_cost_of_a_text(tmp_path: Path) -> None:
    kept = Store(tmp_path)
    for key in (asked.node.fingerprint, cost_key(asked.node)):  # pyright: ignore[reportArgumentType]
        kept.add_cost(key, Cost(calls=1, rows=100, seconds=1.0))
    said = lines(graph.plan(heard("", "tea", "", "pot"), store=tmp_path))["asked"]
    assert (said.seconds, said.elsewhere, said.silent) == (0.02, False, False)
    assert said.cost == 0.02, "a request is one that says something"
    empty = graph.plan(heard("", ""), store=tmp_path)
    line = lines(empty)["asked"]
    assert (line.seconds, line.elsewhere, line.silent) == (None, False, True)
    assert "no texts in data" in str(empty)
    assert lines(graph.plan(store=tmp_path))["asked"].seconds is None, "without data nobody knows"


def test_a_column_without_texts_costs_what_its_model_takes_of_other_rows(tmp_path: Path) -> None:
    kept = Store(tmp_path)
    kept.add_cost(asked.node.fingerprint, Cost(calls=1, rows=100, seconds=1e-6))
    kept.add_cost(cost_key(length.node), Cost(calls=1, rows=10, seconds=1.0))  # pyright: ignore[reportArgumentType]
    plan = graph.plan(heard("", ""), store=tmp_path)
    line = lines(plan)["asked"]
    assert (line.seconds, line.elsewhere, line.silent) == (0.1, True, True)
    assert "each as ahead" in str(plan)
    assert (lines(plan)["length"].seconds, lines(plan)["length"].elsewhere) == (0.1, False)


def test_of_rows_that_are_prepared_only_those_with_a_text_are_billed(tmp_path: Path) -> None:
    named = Costly()(Item.name)
    Store(tmp_path).add_cost(named.node.fingerprint, Cost(calls=1, rows=12, seconds=6.0))
    some = shop(items=12, names=dict.fromkeys(range(6), ""))
    line = lines(mt.Graph(named=named).plan(some, store=tmp_path))["named"]
    assert (line.seconds, line.times, line.cost) == (1.0, 12, 6.0)


def test_what_reads_more_than_a_text_is_measured_by_all_its_rows(tmp_path: Path) -> None:
    priced = Costly()(Purchase.search + Purchase.amount.text())
    kept = Store(tmp_path)
    kept.add_cost(cost_key(priced.node), Cost(calls=1, rows=10, seconds=1.0))  # pyright: ignore[reportArgumentType]
    line = lines(mt.Graph(priced=priced).plan(heard("", ""), store=tmp_path))["priced"]
    assert (line.seconds, line.silent) == (0.1, False)


def test_measuring_tries_costly_models_on_a_few_rows(tmp_path: Path) -> None:
    data = shop(items=300)
    slow = mt.Graph(length=Costly(touchy=False)(words))
    plan = slow.plan(data, store=tmp_path, measure=True)
    (line,) = (line for line in plan.lines if line.model.startswith("Costly"))
    assert line.seconds is not None
    assert line.seconds > 0
    assert line.cost == line.seconds * 300
    later = slow.plan(data, store=tmp_path)
    assert [other.seconds for other in later.lines if other.model == line.model] == [line.seconds]


def test_measuring_sees_the_memory_that_loading_takes(tmp_path: Path) -> None:
    weights: list[np.ndarray] = []

    @dataclass(frozen=True)
    class Loaded(Costly):
        def apply(self, state: State, batch: Batch) -> Array:
            if not weights:
                weights.append(np.ones(40_000_000, np.uint8))
            return np.zeros(batch.rows)

    plan = mt.Graph(length=Loaded()(words)).plan(shop(), store=tmp_path, measure=True)
    (line,) = (line for line in plan.lines if "Loaded" in line.model)
    assert line.peak_bytes == pytest.approx(40e6, rel=0.2)


def test_what_a_fit_has_cost_is_known_to_the_next_plan(tmp_path: Path) -> None:
    slow = mt.Graph(length=Costly(touchy=False)(words))
    slow.fit(shop(), store=tmp_path, quiet=True).prepare()
    (line,) = (line for line in slow.plan(shop(), store=tmp_path).lines if line.model.startswith("Costly"))
    assert line.seconds is not None


def test_the_most_memory_of_a_fit_or_a_call_is_known_to_the_next_plan(tmp_path: Path) -> None:
    both = mt.Graph(**{which: Roomy(which)(Purchase.amount) for which in ("fit", "apply", "neither")})
    assert {line.peak_bytes for line in both.plan(shop(), store=tmp_path).lines} == {None}
    fitted = both.fit(shop(), store=tmp_path, quiet=True)
    abouts = [fitted.store.about(fitted.states.names[fit.fingerprint]) for fit in fitted.outline.fits]
    peaks = {about["model"]: about["peak_bytes"] for about in abouts if about}
    fitted.evaluate(shop())
    plan = both.plan(shop(), store=tmp_path)
    found = {line.model: line.peak_bytes for line in plan.lines if line.peak_bytes is not None}
    assert found["Roomy('fit')"] == pytest.approx(40e6, rel=0.2) == peaks["Roomy('fit')"]
    assert found["Roomy('apply')"] == pytest.approx(60e6, rel=0.2)
    assert peaks["Roomy('apply')"] < 10e6
    assert found["Roomy('neither')"] < 10e6
    assert " MB" in str(plan)


def test_a_plan_is_read_by_programs(tmp_path: Path) -> None:
    made = json.loads(graph.plan(shop(), store=tmp_path).to_json())
    assert {"column", "grain", "computed", "times", "seconds", "cost"} <= set(made["columns"][0])
    assert made["mermaid"].startswith("flowchart")


def test_a_line_says_what_its_column_reads(tmp_path: Path) -> None:
    found = lines(graph.plan(shop(), store=tmp_path))
    assert found["words"].reads == ("Item.name", "Item.kind")
    assert found["length"].reads == ("words",)
    assert found["asked"].reads == ("Purchase.search",)
    assert {"found", "fame", "length", "asked", "Item.price", "Purchase.stars"} <= set(found["score"].reads)


def test_the_picture_shows_each_column_once_in_the_box_of_its_grain(tmp_path: Path) -> None:
    picture = graph.plan(shop(), store=tmp_path).mermaid.splitlines()
    boxes = [line.split('["')[1].rstrip('"]') for line in picture if "subgraph" in line]
    assert sorted(boxes) == boxes == ["Item", "Item x Purchase", "Purchase"]
    shown = [line.strip().split("[")[0] for line in picture if line.startswith("    c")]
    assert len(shown) == len(set(shown))
    arrows = [line.split("-->") for line in picture if "-->" in line]
    assert arrows
    for source, target in arrows:
        assert source.strip() in shown
        assert target.strip() in shown


def test_the_picture_leads_from_what_is_read_to_the_output(tmp_path: Path) -> None:
    picture = graph.plan(shop(), store=tmp_path).mermaid.splitlines()
    names = {line.split("[")[0].strip(): line for line in picture if line.startswith("    c")}
    after: dict[str, set[str]] = {}
    for source, target in (line.split("-->") for line in picture if "-->" in line):
        after.setdefault(source.strip(), set()).add(target.strip())
    (start,) = (number for number, line in names.items() if '"Item.name"' in line)
    (end,) = (number for number, line in names.items() if '"top' in line)
    reached, waiting = {start}, [start]
    while waiting:
        for number in after.get(waiting.pop(), set()) - reached:
            reached.add(number)
            waiting.append(number)
    assert end in reached


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1.4e-6, "1.4 us"),
        (1.4e-3, "1.4 ms"),
        (9.9e-4, "990 us"),
        (1.4, "1.4 s"),
        (89, "89 s"),
        (90, "1.5 min"),
        (7200, "2 h"),
    ],
)
def test_a_length_of_time_is_said_without_exponents(seconds: float, said: str) -> None:
    assert span(seconds) == said
