"""Replay of the test part: the measured figures are those that brute force gives, and none is made of nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

import motet as mt
from motet.batch import Array, Batch, Codes, Vocabulary
from motet.evaluate import BLOCK
from motet.evaluation import Answered, Evaluation, Labels, Predicted
from motet.metrics.ranking import MISS
from motet.model import Model, State
from tests.shop import Buyer, Item, Purchase, shop, stored

fame = mt.Popular()(Purchase.item)
seen = mt.past(Purchase.item, by=Purchase.buyer, last=2)
top = mt.retrieve(Item, k=5, by=[fame], exclude=seen)
popular = mt.Graph(top=top)

features = (Purchase.amount, Purchase.buyer.age, seen.count())
likes = mt.Logistic()(*features, target=Purchase.stars >= 4)
stars = mt.LightGBM("regression", trees=10)(*features, target=Purchase.stars)


def fitted(graph: mt.Graph, folder: Path) -> tuple[mt.Fitted, mt.Data, mt.Data]:
    train, test = shop().split(last=3, by=Purchase.buyer)
    return graph.fit(train, store=folder, quiet=True), train, test


def answered(graph: mt.Graph, folder: Path) -> tuple[Answered, mt.Data, mt.Data]:
    made, train, test = fitted(graph, folder)
    found = made.evaluate(test).measured["top"]
    assert isinstance(found, Answered)
    return found, train, test


def before(data: mt.Data, row: int) -> list[int]:
    """The two latest items that the buyer of an event bought strictly before it."""
    buyer, times = stored(data, Purchase, "buyer").codes, stored(data, Purchase, "at")
    items = stored(data, Purchase, "item").codes
    earlier = [j for j in np.argsort(times, kind="stable") if buyer[j] == buyer[row] and times[j] < times[row]]
    return [int(items[j]) for j in earlier[-2:]]


def test_ranks_are_those_of_brute_force(tmp_path: Path) -> None:
    found, train, test = answered(popular, tmp_path)
    items = stored(test, Purchase, "item").codes
    counts = np.bincount(items[train.seen[Purchase]], minlength=12)
    ranks = list[int]()
    for row in test.asked[Purchase]:
        order = [i for i in np.argsort(-counts, kind="stable") if i not in before(test, int(row))][:5]
        ranks.append(order.index(items[row]) if items[row] in order else MISS)
    assert len(set(counts.tolist())) > 3, "the order tells nothing where all are as popular"
    same = np.bincount(counts)
    tied = np.isin(counts, np.flatnonzero(same > 1))
    certain = [i for i, row in enumerate(test.asked[Purchase]) if not tied[items[row]]]
    assert certain
    assert [found.ranks[i] for i in certain] == [ranks[i] for i in certain]
    assert [(rank == MISS) for rank in found.ranks] == [(rank == MISS) for rank in ranks]


def test_figures_are_means_over_the_ranks(tmp_path: Path) -> None:
    made, _, test = fitted(popular, tmp_path)
    found = made.evaluate(test)
    ranks = found.measured["top"]
    assert isinstance(ranks, Answered)
    hit = ranks.ranks < 5
    gains = np.where(hit, 1 / np.log2(2 + np.where(hit, ranks.ranks, 0)), 0)
    assert found.figure("top", "NDCG@5").value == pytest.approx(gains.mean())
    assert found.figure("top", "hit rate@5").value == pytest.approx(hit.mean())
    assert found.figure("top", "NDCG@5").n == found.n == len(test.asked[Purchase])


def test_every_figure_says_its_n_and_interval(tmp_path: Path) -> None:
    made, _, test = fitted(mt.Graph(popular, likes=likes), tmp_path)
    for figure in made.evaluate(test).figures:
        if figure.slice == "cold":
            continue
        assert figure.estimate.n == len(test.asked[Purchase])
        assert figure.estimate.value is not None
        assert figure.estimate.low is not None
        assert figure.estimate.high is not None
        assert figure.estimate.low <= figure.estimate.value <= figure.estimate.high


def test_cold_is_what_never_happened_in_training(tmp_path: Path) -> None:
    items = [{"item_id": i, "name": "", "price": float(i), "kind": "tea"} for i in range(4)]
    rows = [
        {"buyer": f"b{i % 3}", "at": 60 * i, "amount": 1.0, "item": (i % 2 if i < 30 else i % 4), "stars": 5.0}
        for i in range(40)
    ]
    people = [{"buyer_id": f"b{b}", "age": 1.0} for b in range(3)]
    data = mt.Data({Item: items, Buyer: people, Purchase: rows})
    train, test = data.split(at=30 * 60_000_000)
    found = popular.fit(train, store=tmp_path, quiet=True).evaluate(test)
    measured = found.measured["top"]
    assert isinstance(measured, Answered)
    assert measured.cold.tolist() == [i % 4 >= 2 for i in range(30, 40)]
    assert found.figure("top", "MRR", "cold").n == 6
    assert found.figure("top", "MRR", "warm").n == 4


def test_a_slice_without_requests_has_no_value(tmp_path: Path) -> None:
    made, _, test = fitted(popular, tmp_path)
    nothing = made.evaluate(test).figure("top", "NDCG@5", "cold")
    assert (nothing.value, nothing.low, nothing.high, nothing.n) == (None, None, None, 0)


def test_predictions_are_measured_against_their_own_outcome(tmp_path: Path) -> None:
    made, _, test = fitted(mt.Graph(likes=likes, stars=stars), tmp_path)
    found = made.evaluate(test)
    measured = found.measured["likes"]
    assert isinstance(measured, Predicted)
    came = stored(test, Purchase, "stars")[test.asked[Purchase]]
    assert measured.outcome.tolist() == (came >= 4).astype(float).tolist()
    said = measured.predicted
    assert found.figure("likes", "AUC").value == pytest.approx(roc_auc_score(came >= 4, said))
    assert found.figure("likes", "average precision").value == pytest.approx(average_precision_score(came >= 4, said))
    assert found.figure("likes", "log loss").value == pytest.approx(log_loss(came >= 4, said))
    numbers = found.measured["stars"]
    assert isinstance(numbers, Predicted)
    rmse = np.sqrt(np.mean((numbers.predicted - came) ** 2))
    assert found.figure("stars", "RMSE").value == pytest.approx(rmse)


def test_what_is_asked_for_beside_is_handed_back_as_it_is(tmp_path: Path) -> None:
    data = shop(events=1_300)
    made = popular.fit(data, store=tmp_path, quiet=True)
    found = made.evaluate(data, beside={"amount": Purchase.amount * 2})
    assert found.beside["amount"].tolist() == (2 * stored(data, Purchase, "amount")).tolist()
    assert len(found.beside["amount"]) > 2 * BLOCK
    assert found.groups is not None
    assert found.groups.tolist() == stored(data, Purchase, "buyer").codes.tolist()


def test_only_relevant_events_count(tmp_path: Path) -> None:
    made, _, test = fitted(popular, tmp_path)
    liked = stored(test, Purchase, "stars")[test.asked[Purchase]] >= 4
    assert made.evaluate(test, relevant=Purchase.stars >= 4).n == int(liked.sum())
    with pytest.raises(mt.DataError, match="holds of none of 60 events of Purchase"):
        made.evaluate(test, relevant=Purchase.stars >= 9)
    for wrong, says in ((True, "relevant=True"), (5, "relevant=5"), (Purchase.amount, "a Number,")):
        with pytest.raises(mt.GraphError, match=f"{says} is no condition"):
            made.evaluate(test, relevant=wrong)


@pytest.mark.parametrize("wrong", [None, 5])
def test_what_is_measured_and_fitted_is_data(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(mt.DataError, match=r"is no data\nhelp: data = mt\.Data"):
        popular.fit(wrong, store=tmp_path)
    with pytest.raises(mt.DataError, match=r"is no data\nhelp: data = mt\.Data"):
        fitted(popular, tmp_path)[0].evaluate(wrong)


def test_what_was_learnt_from_is_known_where_the_same_rows_are_bound_anew(tmp_path: Path) -> None:
    made, train, _ = fitted(popular, tmp_path)
    again, later = shop().split(last=3, by=Purchase.buyer)
    learnt = "requests that the fit has learnt from: these figures flatter"
    assert made.evaluate(train).problems[learnt] == made.evaluate(again).problems[learnt] == len(train.asked[Purchase])
    assert learnt not in made.evaluate(later).problems
    assert learnt not in made.evaluate(shop(seed=1)).problems, "of the same times, but not the same events"


def test_two_evaluations_are_compared_request_by_request(tmp_path: Path) -> None:
    made, train, test = fitted(popular, tmp_path)
    dear = mt.Graph(top=mt.retrieve(Item, k=5, by=[Item.price], exclude=seen))
    ours, theirs = made.evaluate(test), dear.fit(train, store=tmp_path, quiet=True).evaluate(test)
    gap = {(f.slice, f.metric): f.estimate for f in ours.against(theirs)}["all", "NDCG@5"]
    a, b = ours.figure("top", "NDCG@5").value, theirs.figure("top", "NDCG@5").value
    assert a is not None
    assert b is not None
    assert gap.value == pytest.approx(a - b)
    assert all(f.estimate.value in (0, None) for f in ours.against(ours))


def test_a_figure_that_was_not_measured_lists_those_that_were(tmp_path: Path) -> None:
    made, _, test = fitted(popular, tmp_path)
    with pytest.raises(mt.DataError, match="top NDCG@5 all"):
        made.evaluate(test).figure("top", "AUC")


def test_nothing_measurable_is_no_score(tmp_path: Path) -> None:
    made, _, test = fitted(mt.Graph(age=Purchase.buyer.age * 1), tmp_path)
    with pytest.raises(mt.GraphError, match="no output can be measured"):
        made.evaluate(test)
    made, _, test = fitted(mt.Graph(price=Item.price * 1), tmp_path)
    with pytest.raises(mt.GraphError, match="asked by no event"):
        made.evaluate(test)


@dataclass(frozen=True)
class Broken(Model):
    def __call__(self, number: mt.Number, target: mt.Flag) -> mt.Number:
        fit = mt.learn(self, target=target, number=number)
        return mt.column(mt.Number, self, fit, number=number)

    def fit(self, batch: Batch, target: Any) -> State:
        return State()

    def apply(self, state: State, batch: Batch) -> Array:
        raise ValueError("out of order")


def test_what_fell_back_is_counted(tmp_path: Path) -> None:
    strong = Broken()(Purchase.amount, Purchase.stars >= 4)
    made, _, test = fitted(mt.Graph(likes=strong.otherwise(likes)), tmp_path)
    found = made.evaluate(test)
    assert list(found.problems.values()) == [1]
    assert "out of order" in str(found)
    alone, _, _ = fitted(mt.Graph(likes=likes), tmp_path)
    assert found.figure("likes", "AUC") == alone.evaluate(test).figure("likes", "AUC")


def test_an_output_that_no_request_has_is_not_measured(tmp_path: Path) -> None:
    train, test = shop().split(last=1, by=Purchase.buyer)
    fame = mt.Popular()(Purchase.item)
    graph = mt.Graph(
        top=mt.retrieve(Item, k=5, by=[fame], exclude=mt.past(Purchase.item, by=Purchase.buyer)), fame=fame
    )
    found = graph.fit(train, store=tmp_path, quiet=True).evaluate(test)
    assert {figure.output for figure in found.figures} == {"top"}


class Query(mt.Event):
    at: mt.Time
    text: mt.Text
    intent: mt.Category = mt.outcome()


def queries(labels: list[str | None]) -> tuple[mt.Data, mt.Data]:
    """Queries that say their intent, but for every fifth, and a test part of 20."""
    rows = [
        {"at": i, "text": f"about the {'weather' if i % 5 == 0 else label}", "intent": label}
        for i, label in enumerate(labels)
    ]
    return mt.Data({Query: rows}).split(at=(len(labels) - 20) * 1_000_000)


@dataclass(frozen=True)
class Always(Model):
    """The same label for every text; it learns nothing, and so has no target of its own. Nothing is no label."""

    name: str

    def __call__(self, text: mt.Text, target: mt.Category | None = None) -> mt.Category:
        return mt.column(mt.Category, self, held_against=target, text=text)

    def apply(self, state: State, batch: Batch) -> Codes:
        return Codes(np.full(batch.rows, 0 if self.name else -1, np.int32), Vocabulary(pa.array([self.name])))


CARD_OR_CASH: list[str | None] = ["card", "cash"] * 30
by_words = mt.Classify()(Query.text, target=Query.intent)


def of(made: mt.Category, parts: tuple[mt.Data, mt.Data], folder: Path) -> Evaluation:
    return mt.Graph(label=made).fit(parts[0], store=folder, quiet=True).evaluate(parts[1])


def test_labels_are_measured_by_how_many_are_right(tmp_path: Path) -> None:
    parts = queries(CARD_OR_CASH)
    found = of(by_words.label, parts, tmp_path)
    measured = found.measured["label"]
    assert isinstance(measured, Labels)
    said = [measured.said.names.tolist()[code] for code in measured.said.codes]
    assert measured.right.tolist() == [s == c for s, c in zip(said, CARD_OR_CASH[-20:], strict=True)]
    accuracy = found.figure("label", "accuracy")
    assert accuracy.value == np.mean(measured.right)
    assert accuracy.n == 20
    assert accuracy.low is not None
    assert accuracy.low > 0.5, "every fifth says nothing, and the others all"


def test_labels_are_held_against_the_outcome_that_is_given_where_the_graph_is_made(tmp_path: Path) -> None:
    parts = queries(CARD_OR_CASH)
    always = Always("card")
    assert of(always(Query.text, Query.intent), parts, tmp_path).figure("label", "accuracy").value == 0.5
    with pytest.raises(mt.GraphError, match="no output can be measured"):
        of(always(Query.text), parts, tmp_path)
    assert always(Query.text, Query.intent).fingerprint == always(Query.text).fingerprint, "it changes no value"


def test_a_label_that_falls_back_is_held_against_the_outcome_of_what_it_falls_back_on(tmp_path: Path) -> None:
    found = of(Always("card")(Query.text).otherwise(by_words.label), queries(CARD_OR_CASH), tmp_path)
    assert found.figure("label", "accuracy").value == 0.5


def test_labels_are_compared_query_by_query(tmp_path: Path) -> None:
    parts = queries(CARD_OR_CASH)
    ours, theirs = of(by_words.label, parts, tmp_path), of(Always("card")(Query.text, Query.intent), parts, tmp_path)
    (gap,) = ours.against(theirs)
    a, b = ours.figure("label", "accuracy").value, theirs.figure("label", "accuracy").value
    assert a is not None
    assert b is not None
    assert gap.metric == "accuracy"
    assert gap.estimate.value == pytest.approx(a - b)
    assert gap.estimate.sure
    other = of(by_words.label, queries([*CARD_OR_CASH[:-1], None]), tmp_path)
    with pytest.raises(mt.DataError, match="not known for the same requests"):
        ours.against(other)


def test_no_label_is_a_wrong_one_and_one_that_nobody_can_give_is_told(tmp_path: Path) -> None:
    parts = queries([*CARD_OR_CASH[:-2], "loan", None])
    silent = of(Always("")(Query.text, Query.intent), parts, tmp_path)
    assert silent.figure("label", "accuracy").value == 0
    assert silent.figure("label", "accuracy").n == 19, "who asked for nothing known is no mistake"
    assert silent.problems["label: no label for a known outcome"] == 19
    known = of(by_words.label, parts, tmp_path)
    assert known.problems == {"label: the outcome is no label that it gives": 1}


def test_a_confidence_is_not_held_against_a_label(tmp_path: Path) -> None:
    with pytest.raises(mt.GraphError, match="no output can be measured"):
        of(by_words.confidence, queries(CARD_OR_CASH), tmp_path)  # pyright: ignore


def test_only_an_outcome_of_the_event_that_is_read_can_be_held_against(tmp_path: Path) -> None:
    with pytest.raises(mt.GraphError, match=r"once per \{Item\}, and its target"):
        Always("tea")(Item.name, Query.intent)
