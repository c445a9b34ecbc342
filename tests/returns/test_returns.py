"""What an optional model returns is what two graphs show that are fitted and replayed by hand."""

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import motet as mt
from motet.batch import Array, Batch
from motet.evaluation import Answered, Predicted
from motet.metrics.verdicts import shared, verdict
from motet.node import Otherwise
from motet.returns import PER, Returns, plots
from tests.shop import Buyer, Item, Purchase, shop, stored

fame = mt.Popular()(Purchase.item)
seen = mt.past(Purchase.item, by=Purchase.buyer, last=1)
taste = mt.EASE()(seen, Item)
found = mt.retrieve(Item, k=5, by=[taste], exclude=seen).otherwise(fame)
ranked = mt.Graph(top=found.top(3))
average = mt.past(Purchase.stars, by=Purchase.buyer).mean().otherwise(None)
likes = mt.Logistic()(Purchase.amount, average, target=Purchase.stars >= 4)
likely = mt.Graph(likes=likes)
train, test = shop(events=1_200).split(last=5, by=Purchase.buyer)


def fitted(graph: mt.Graph, folder: Path, data: mt.Data = train) -> mt.Fitted:
    return graph.fit(data, store=folder, quiet=True)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> mt.Fitted:
    return fitted(ranked, tmp_path_factory.mktemp("ranked"))


@pytest.fixture(scope="module")
def worth_it(ours: mt.Fitted) -> Returns:
    return ours.returns(test, mt.Worth(hit=0.02), mt.Prices(cpu_hour=0.04))


def test_the_other_side_is_the_graph_with_the_other_model(ours: mt.Fitted, worth_it: Returns, tmp_path: Path) -> None:
    plain = fitted(mt.Graph(top=mt.retrieve(Item, k=5, by=[fame], exclude=seen).top(3)), tmp_path)
    here, there = ours.evaluate(test), plain.evaluate(test)
    (row,) = worth_it.rows
    assert (row.strong, row.cheap, row.output, row.metric) == ("taste", "fame", "top", "NDCG@3")
    assert row.ours == here.figure("top", "NDCG@3")
    assert row.theirs == there.figure("top", "NDCG@3")
    assert row.difference == next(f.estimate for f in here.against(there) if (f.slice, f.metric) == ("all", "NDCG@3"))


def test_the_value_is_the_hits_that_it_adds_and_the_net_is_less_by_its_cost(worth_it: Returns, ours: mt.Fitted) -> None:
    (row,) = worth_it.rows
    hits = ours.evaluate(test).measured["top"]
    assert isinstance(hits, Answered)
    assert row.verdict is not None
    gain, net = row.verdict.gain.value, row.verdict.net.value
    assert gain is not None
    assert net == pytest.approx(gain - row.cost.total)
    assert 0 < gain <= PER * 0.02 * (hits.ranks < 3).mean()
    assert row.verdict.word == "keep"


def test_costs_are_money_for_processor_time(ours: mt.Fitted, worth_it: Returns) -> None:
    free, dear = (ours.returns(test, prices=mt.Prices(cpu_hour=price)) for price in (0.0, 1e6))
    assert free.bill.total == 0
    assert dear.bill.prepared > 0
    assert dear.bill.live > 0
    longer = ours.returns(test, prices=mt.Prices(cpu_hour=1e6), requests=100 * worth_it.n)
    assert longer.bill.prepared < dear.bill.prepared / 50
    assert longer.amortised == 100 * worth_it.n


def test_warm_and_cold_requests_have_figures_and_nets_of_their_own(tmp_path: Path) -> None:
    known, _ = train.hold_out(Purchase.item, [0, 5])
    made = fitted(ranked, tmp_path, known)
    found = made.returns(test, mt.Worth(hit=0.02), mt.Prices(cpu_hour=40.0))
    (row,) = found.rows
    plain = fitted(mt.Graph(top=mt.retrieve(Item, k=5, by=[fame], exclude=seen).top(3)), tmp_path, known)
    here, there = made.evaluate(test), plain.evaluate(test)
    ours, theirs = here.measured["top"], there.measured["top"]
    assert isinstance(ours, Answered)
    assert isinstance(theirs, Answered)
    happened = stored(test, Purchase, "item").codes[test.asked[Purchase]]
    new = np.isin(happened, [0, 5])
    assert 0 < new.sum() < len(new)
    gain = PER * 0.02 * ((ours.ranks < 3) * 1.0 - (theirs.ranks < 3))
    for part, name, rows in zip(row.slices, ("warm", "cold"), (~new, new), strict=True):
        assert part.name == name
        assert part.ours == here.figure("top", "NDCG@3", name)
        assert part.theirs == there.figure("top", "NDCG@3", name)
        assert part.difference == next(
            f.estimate for f in here.against(there) if (f.slice, f.metric) == (name, "NDCG@3")
        )
        assert ours.groups is not None
        assert part.verdict is not None
        assert part.verdict == verdict(gain[rows], row.cost.total, ours.groups[rows], level=0.975)
        assert part.verdict.net.n == part.difference.n == rows.sum()
    assert row.verdict == verdict(gain, row.cost.total, ours.groups, {"warm": ~new, "cold": new})
    kept = json.loads(json.dumps(found.to_dict()))["rows"][0]["slices"]
    assert [part["verdict"]["net"]["n"] for part in kept] == [(~new).sum(), new.sum()]
    lines = str(found).splitlines()
    assert [line.split()[:2] for line in lines[2:4]] == [["warm", f"{(~new).sum()}"], ["cold", f"{new.sum()}"]]


def test_where_all_requests_are_alike_there_are_no_slices(worth_it: Returns) -> None:
    assert worth_it.rows[0].slices == ()
    assert "warm" not in str(worth_it)


def test_a_slice_is_kept_where_the_model_is_said_to_pay_in_it() -> None:
    noise, first = np.random.default_rng(0).normal(size=600), np.arange(600) < 300
    words: list[str] = []
    for effect in np.linspace(0, 0.4, 101):
        gain = noise + np.where(first, effect, -2 * effect)
        alone = verdict(gain[first], 0.0, level=shared(2))
        assert (alone.word == "keep") == bool(verdict(gain, 0.0, None, {"first": first, "second": ~first}).where)
        words.append(alone.word)
    assert words[0] != words[-1] == "keep"


def test_what_stands_in_for_a_model_is_called_by_its_name(tmp_path: Path) -> None:
    (row,) = fitted(likely, tmp_path).returns(test).rows
    assert (row.strong, row.cheap) == ("average", "nothing")


@dataclass(frozen=True)
class Fickle(mt.Model):
    """Takes the longer the more often it was called."""

    calls: ClassVar[Counter[str]] = Counter()

    def __call__(self, number: mt.Number, target: mt.Number | None = None) -> mt.Number:
        return mt.column(mt.Number, self, held_against=target, number=number)

    def apply(self, state: mt.State, batch: Batch) -> Array:
        self.calls["all"] += 1
        until = time.process_time() + 0.05 * self.calls["all"]
        while time.process_time() < until:
            pass
        return batch["number"]


def test_what_both_graphs_do_alike_is_no_cost_of_the_model(tmp_path: Path) -> None:
    fickle = Fickle()
    found = mt.retrieve(Item, k=5, by=[taste.otherwise(fame), fickle(Item.price)], exclude=seen)
    graph = mt.Graph(top=found.top(3), stars=fickle(Purchase.amount, target=Purchase.stars))
    made = fitted(graph, tmp_path).returns(test, prices=mt.Prices(cpu_hour=3600.0), output="top")
    requests = made.n / PER
    assert made.bill.live * requests > 0.05
    assert [abs(cost) * requests < 0.02 for cost in (made.rows[0].cost.live, made.rows[0].cost.prepared)] == [
        True,
        True,
    ]


def test_without_a_worth_nothing_is_decided(ours: mt.Fitted) -> None:
    found = ours.returns(test)
    assert found.rows[0].verdict is None
    assert "keep" not in str(found)


def test_a_model_that_costs_more_than_it_brings_is_dropped(ours: mt.Fitted) -> None:
    (row,) = ours.returns(test, mt.Worth(hit=1e-9), mt.Prices(cpu_hour=1e6)).rows
    assert row.verdict is not None
    assert row.cost.total > 0
    assert row.verdict.word == "drop"


def test_a_flag_is_worth_what_is_caught_less_false_alarms(tmp_path: Path) -> None:
    made = fitted(likely, tmp_path)
    (row,) = made.returns(test, mt.Worth(caught=Purchase.amount, false_alarm=-20.0)).rows
    said = made.evaluate(test).measured["likes"]
    assert isinstance(said, Predicted)
    amounts = np.asarray(made.context(test).batch(Purchase, test.asked[Purchase]).value(Purchase.amount))
    flagged = said.predicted * amounts > (1 - said.predicted) * 20
    value = np.where(flagged, np.where(said.outcome == 1, amounts, -20.0), 0.0)
    assert isinstance(average.node, Otherwise)
    nothing: Any = average.node.cheap
    plain = fitted(mt.Graph(likes=mt.Logistic()(Purchase.amount, nothing, target=Purchase.stars >= 4)), tmp_path)
    other = plain.evaluate(test).measured["likes"]
    assert isinstance(other, Predicted)
    theirs = np.where(
        other.predicted * amounts > (1 - other.predicted) * 20, np.where(said.outcome == 1, amounts, -20.0), 0.0
    )
    assert row.verdict is not None
    assert row.verdict.gain.value == pytest.approx(PER * (value - theirs).mean())


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"worth": lambda: mt.Worth(caught=5.0, false_alarm=-1.0)}, "no output of the graph has outcomes"),
        ({"prices": lambda: mt.Prices(tokens={"gpt": (1.0, 2.0)})}, "no language model of the graph is called 'gpt'"),
        ({"worth": lambda: mt.Worth(hit=0.02), "output": lambda: "tops"}, "'tops' is no output"),
        ({"worth": lambda: mt.Worth()}, "a Worth says"),
        ({"worth": lambda: mt.Worth(hit=1.0, caught=2.0)}, "a Worth says"),
        ({"worth": lambda: mt.Worth(hit=float("nan"))}, "no amount"),
        ({"worth": lambda: mt.Worth(caught=1.0, false_alarm=5.0)}, "would be a gain"),
        ({"prices": lambda: mt.Prices(cpu_hour=-1.0)}, "is no price"),
    ],
)
def test_what_is_about_something_that_is_not_there_is_refused(
    ours: mt.Fitted, asked: dict[str, Any], says: str
) -> None:
    with pytest.raises(mt.DataError, match=says) as refused:
        ours.returns(test, **{name: make() for name, make in asked.items()})
    assert "help:" in str(refused.value)


def test_a_graph_in_which_nothing_is_optional_is_refused(tmp_path: Path) -> None:
    made = fitted(mt.Graph(top=mt.retrieve(Item, k=5, by=[fame], exclude=seen).top(3)), tmp_path)
    with pytest.raises(mt.DataError, match="optional"):
        made.returns(test, mt.Worth(hit=1.0))


def test_what_stands_in_and_predicts_another_outcome_is_no_comparison(tmp_path: Path) -> None:
    strong = mt.Logistic()(Purchase.amount, target=Purchase.stars >= 4)
    cheap = mt.Logistic()(Purchase.amount, target=Purchase.stars >= 2)
    made = fitted(mt.Graph(likes=strong.otherwise(cheap)), tmp_path)
    with pytest.raises(mt.GraphError, match=r"predicts .*, and .* predicts"):
        made.returns(test, mt.Worth(caught=1.0, false_alarm=-1.0))


class Refund(mt.Event):
    buyer: Buyer
    at: mt.Time
    amount: mt.Number


def test_an_amount_that_reads_what_is_not_bound_is_refused(tmp_path: Path) -> None:
    refunds = mt.past(Refund.amount, by=Refund.buyer).sum() + Purchase.amount
    with pytest.raises(mt.DataError, match="reads Refund, which the data do not bind"):
        fitted(likely, tmp_path).returns(test, mt.Worth(caught=refunds, false_alarm=-5.0))


def test_where_another_output_reads_the_optional_model_it_is_named(tmp_path: Path) -> None:
    plain = mt.Logistic()(Purchase.amount, target=Purchase.stars >= 4)
    made = fitted(mt.Graph(plain=plain, likes=likes), tmp_path)
    with pytest.raises(mt.DataError, match="'plain' reads no optional model") as refused:
        made.returns(test)
    assert "output='likes'" in refused.value.help
    assert made.returns(test, output="likes").rows[0].output == "likes"
    other = fitted(mt.Graph(plain=plain, top=found.top(3)), tmp_path)
    with pytest.raises(mt.DataError, match="'plain' reads no optional model") as refused:
        other.returns(test, mt.Worth(caught=1.0, false_alarm=-1.0))
    assert "say what stands in" in refused.value.help, "the worth is not about items"


def test_it_can_be_read_drawn_and_kept(worth_it: Returns, tmp_path: Path) -> None:
    kept = json.loads(json.dumps(worth_it.to_dict()))
    assert kept["rows"][0]["verdict"]["word"] == "keep"
    assert kept["rows"][0]["verdict"]["net"]["n"] == worth_it.n == len(test.asked[Purchase])
    assert "keep" in str(worth_it)
    assert f"n={worth_it.n}" in str(worth_it)
    assert plots.frontier(worth_it, tmp_path / "returns.svg").read_text().startswith("<?xml")
    with pytest.raises(mt.DataError, match="no picture"):
        plots.frontier(worth_it, tmp_path / "returns.txt")
