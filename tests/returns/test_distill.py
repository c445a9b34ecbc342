"""An expensive model teaches a cheap one, which takes its place where its return is higher."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import motet as mt
from motet.batch import Array, Batch, Codes
from motet.metrics.intervals import Estimate
from motet.model import Model, State
from motet.models.returned import KINDS
from motet.places import places
from motet.plan import cost_key
from motet.prepare import prepared_columns
from motet.printed import amount, money
from motet.returns.bills import labelling
from motet.returns.distill import Distilled
from motet.store import Store
from tests.llm.test_openai import chat, serving
from tests.shop import Buyer, Item, Purchase

ASKED: list[float] = []
"""What the teacher was asked about, in order."""
BIT = 0.002  # seconds of processor that the teacher takes for an event


class Note(mt.Event):
    at: mt.Time
    size: mt.Number
    noise: mt.Number
    kind: mt.Category = mt.outcome()
    good: mt.Flag = mt.outcome()
    weight: mt.Number = mt.outcome()


class Plain(mt.Event):
    at: mt.Time
    size: mt.Number
    noise: mt.Number


class Told(mt.Event):
    at: mt.Time
    text: mt.Text
    mood: mt.Category = mt.outcome()


class Mood(mt.Record):
    mood: mt.Category = mt.labels("good", "bad")


@dataclass(frozen=True)
class Slow(Model):
    """Says by a number whether an event is big or small; of what is missing it says nothing."""

    costly: ClassVar[bool] = True

    def __call__(self, size: mt.Number) -> mt.Category:
        return mt.column(mt.Category, self, size=size)

    def apply(self, state: State, batch: Batch) -> Codes:
        sizes = np.asarray(batch["size"])
        worked(sizes)
        return KINDS[mt.Category]([None if np.isnan(s) else "big" if s > 0 else "small" for s in sizes])

    def block(self) -> int:
        return 16


@dataclass(frozen=True)
class Chance(Model):
    """How likely a number makes it, as slowly."""

    costly: ClassVar[bool] = True

    def __call__(self, size: mt.Number, target: mt.Flag | mt.Number | None = None) -> mt.Number:
        return mt.column(mt.Number, self, held_against=target, size=size)

    def apply(self, state: State, batch: Batch) -> Array:
        sizes = np.asarray(batch["size"])
        worked(sizes)
        return 1 / (1 + np.exp(-2 * sizes))


def worked(sizes: Array) -> None:
    ASKED.extend(sizes.tolist())
    until = time.process_time() + BIT * len(sizes)
    while time.process_time() < until:
        pass


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    ASKED.clear()
    yield
    ASKED.clear()


def notes(n: int = 300, known: bool = True, seed: int = 0) -> tuple[mt.Data, mt.Data]:
    """Events whose size says what they are, but for one in ten; the last hundred are the test part. known: whether
    outcomes are in the training part."""
    draw = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for i in range(n):
        size, noise = float(draw.normal()), float(draw.normal())
        big = (size > 0) != (draw.random() < 0.1)
        came = {"kind": "big" if big else "small", "good": float(big), "weight": 3 * size}
        if not known and i < n - 100:
            came = dict.fromkeys(came)
        rows.append({"at": 1_000_000 + 60 * i, "size": size, "noise": noise, **came})
    return mt.Data({Note: rows}).split(at=(1_000_000 + 60 * (n - 100)) * 1_000_000)


slow = Slow()(Note.size)
by_size = mt.Classify()(Note.size, target=Note.kind).label
by_noise = mt.Classify()(Note.noise, target=Note.kind).label
WORTH = mt.Worth(correct=1.0, wrong=-1.0)
DEAR = mt.Prices(cpu_hour=3600.0 / BIT)  # an answer of the teacher costs one, as a right label is worth


def distilled(
    folder: Path, _student: mt.Category, prices: mt.Prices | None = None, sample: int = 100, known: bool = True
) -> Distilled[mt.Graph]:
    graph = mt.Graph(kind=mt.distill(slow, _student, sample=sample))
    return graph.distill(*notes(known=known), WORTH, prices, requests=1_000_000, store=folder, quiet=True)


def said(graph: mt.Graph, folder: Path) -> tuple[list[str], list[str]]:
    """What a graph answers to the events of the test part, and what they came to."""
    train, test = notes()
    fitted = graph.fit(train, store=folder, quiet=True)
    rows = test.asked[Note]
    sizes, noises = (np.asarray(test.tables[Note].columns[name])[rows] for name in ("size", "noise"))
    asks = [{"at": 0, "size": s, "noise": n} for s, n in zip(sizes.tolist(), noises.tolist(), strict=True)]
    came: Any = test.tables[Note].columns["kind"]
    return [answer["kind"] for answer in fitted.ask_many(asks)], came.names.names.take(came.codes[rows]).to_pylist()


def test_a_student_that_is_as_good_and_cheaper_takes_the_place(tmp_path: Path) -> None:
    found = distilled(tmp_path, by_size, DEAR)
    assert found.chosen == "student"
    assert found.graph is found.with_student
    assert found.teacher.bill.live == pytest.approx(1_000, rel=0.3)
    assert found.student.bill.live < 100
    assert found.gain is not None
    assert found.gain.sure
    ASKED.clear()
    fitted = found.graph.fit(notes()[0], store=tmp_path, quiet=True)
    assert fitted.evaluate(notes()[1]).figure("kind", "accuracy") == found.student.quality
    assert ASKED == [], "what took its place needs no teacher"


def test_a_student_that_cannot_follow_leaves_the_place_to_its_teacher(tmp_path: Path) -> None:
    found = distilled(tmp_path, by_noise)
    assert found.chosen == "teacher"
    assert found.graph.fingerprint == mt.Graph(kind=slow).fingerprint
    assert found.gain is not None
    assert found.gain.high is not None
    assert found.gain.high < 0


def test_agreement_and_lost_quality_are_what_a_hand_counts(tmp_path: Path) -> None:
    found = distilled(tmp_path, by_noise)
    (teacher, came), (student, _) = said(found.with_teacher, tmp_path), said(found.with_student, tmp_path)
    assert len(came) == found.n == found.agreement.n == 100
    assert found.agreement.value == np.mean([a == b for a, b in zip(teacher, student, strict=True)])
    right = [np.mean([a == b for a, b in zip(one, came, strict=True)]) for one in (teacher, student)]
    assert found.lost is not None
    assert found.lost.value == pytest.approx(right[0] - right[1])
    assert [side.quality and side.quality.value for side in (found.teacher, found.student)] == pytest.approx(right)
    assert found.gain is not None
    assert found.gain.value == pytest.approx(1_000 * 2 * (right[1] - right[0])), (
        "a wrong label loses what a right one gains"
    )


def test_the_report_says_all_of_it(tmp_path: Path) -> None:
    found = distilled(tmp_path, by_size, DEAR)
    shown = str(found)
    for figure in (found.agreement, found.lost, found.teacher.quality):
        assert str(figure) in shown
    assert found.gain is not None
    assert found.student.net is not None
    for figure in (found.gain, found.student.net):
        assert money(figure) in shown
    assert f"of the {amount(found.student.bill.total)} that it costs labelling took {amount(found.labelling)}" in shown
    assert "do not tell" not in shown
    assert [line.split()[:3] for line in shown.splitlines()[1:3]] == [
        ["teacher", "slow", "accuracy"],
        ["->", "student", "by_size"],
    ]
    assert found.to_dict()["student"]["name"] == "by_size"
    assert found.to_dict()["lost"]["n"] == 100


def test_small_money_is_shown_to_three_digits_and_what_is_not_told_is_said(tmp_path: Path) -> None:
    found = distilled(tmp_path, by_size, mt.Prices(cpu_hour=0.04))
    small = replace(found, gain=Estimate(2.5e-5, -1e-6, 5.12e-5, 100))
    assert "the teacher's: 2.5e-05 [-1e-06, 5.12e-05]" in str(small)
    assert "these requests do not tell the student from the teacher" in str(small)
    nothing = replace(found, gain=Estimate(-0.0, None, None, 1))
    assert "the teacher's: 0\n" in str(nothing)
    assert "these requests do not tell the student from the teacher" in str(nothing)


def test_each_event_of_the_sample_is_put_to_the_teacher_once(tmp_path: Path) -> None:
    train, _ = notes()
    known = set(np.asarray(train.tables[Note].columns["size"])[train.asked[Note]].tolist())
    distilled(tmp_path, by_size, sample=40)
    first = [size for size in ASKED if size in known]
    assert len(first) == len(set(first)) == 40
    distilled(tmp_path, by_noise, sample=60)
    both = [size for size in ASKED if size in known]
    assert both[:40] == first
    assert len(both) == len(set(both)) == 60, "a larger sample holds the smaller one"
    found = distilled(tmp_path, by_noise, sample=10_000)
    assert found.learnt == len(known)


def test_the_sample_s_labels_are_part_of_what_the_student_costs(tmp_path: Path) -> None:
    mt.Graph(kind=by_size).fit(notes()[0], store=tmp_path / "warm", quiet=True)
    found = distilled(tmp_path, by_size, DEAR, sample=150)
    cost = Store(tmp_path).cost(cost_key(slow.node))  # pyright: ignore[reportArgumentType]
    assert cost is not None
    assert cost.rows == 150 + 100, "the sample, and the test part that it is replayed on"
    took = 150 * cost.cpu_seconds / cost.rows * DEAR.cpu_hour / 3600
    assert found.labelling == pytest.approx(1_000 * took / found.lasting)
    assert found.labelling <= found.student.bill.prepared < 1.5 * found.labelling, "once, not in the fit's time too"
    again = distilled(tmp_path, by_size, DEAR, sample=150)
    assert again.labelling == pytest.approx(found.labelling, rel=0.5), "though none was asked for again"


def test_a_language_model_teaches_what_it_can_read_and_its_tokens_are_paid_for(tmp_path: Path) -> None:
    def answer(request: dict[str, Any], n: int) -> Any:
        text = request["messages"][-1]["content"]
        mood = "good" if "fine" in text else "bad"
        return 200, {}, chat("no idea" if "odd" in text else json.dumps({"mood": mood}))

    texts = [f"{'fine' if i % 2 else 'poor'} work number {i}{' but odd' if i % 5 == 0 else ''}" for i in range(80)]
    rows = [{"at": i, "text": text, "mood": "good" if "fine" in text else "bad"} for i, text in enumerate(texts)]
    train, test = mt.Data({Told: rows}).split(at=60_000_000)
    student = mt.Classify()(Told.text, target=Told.mood).label
    with serving(answer) as url:
        teacher = mt.Extract(mt.LLM("any", url=url, retries=0), Mood, seconds=20)(Told.text).mood
        graph = mt.Graph(mood=mt.distill(teacher, student))
        prices = mt.Prices(tokens={"any": (1e6, 1e6)})
        found = graph.distill(train, test, WORTH, prices, requests=1_000, store=tmp_path, quiet=True)
    assert (found.learnt, found.silent) == (48, 12)
    assert (found.agreement.value, found.agreement.n) == (1.0, 16)
    assert found.lost is not None
    assert found.lost.value == pytest.approx(-0.2), "what it cannot read is wrong, and the student says it all the same"
    assert found.labelling == pytest.approx(60 * (7 + 2)), "what its replies took; a try at probabilities is made once"
    assert found.student.bill.live == 0
    assert found.chosen == "student"


@pytest.mark.parametrize("sample", [30, 60])
def test_events_that_read_alike_are_labelled_and_paid_for_once(sample: int, tmp_path: Path) -> None:
    sizes = np.random.default_rng(0).integers(-20, 20, 90).tolist()
    came = {"noise": 0.0, "good": 1.0, "weight": 1.0}
    rows = [{"at": i, "size": s, "kind": "big" if s > 0 else "small", **came} for i, s in enumerate(sizes)]
    some, all_of_them = (mt.Graph(kind=mt.taught(by_size, by=slow, sample=n)) for n in (sample, 90))
    fitted = some.fit(mt.Data({Note: rows}), store=tmp_path, quiet=True)
    asked = len(ASKED)
    assert asked == len(set(ASKED)) < sample
    larger = all_of_them.fit(mt.Data({Note: rows}), store=tmp_path, quiet=True)
    cost = larger.store.cost(slow.fingerprint)
    assert cost is not None
    assert cost.rows == len(ASKED) == len(set(sizes))
    assert labelling(larger, DEAR) == pytest.approx(DEAR.of(cost, ""))
    assert labelling(fitted, DEAR) == pytest.approx(DEAR.of(cost, "") * asked / cost.rows)


def test_a_student_needs_no_outcome_to_learn_from(tmp_path: Path) -> None:
    assert distilled(tmp_path, by_size, known=False).student.quality == distilled(tmp_path, by_size).student.quality


def test_where_no_outcome_is_known_nothing_but_agreement_is_said(tmp_path: Path) -> None:
    teacher = Slow()(Plain.size)
    student = mt.Classify()(Plain.size, target=teacher).label
    rows = [{"at": i, "size": float(i % 7 - 3), "noise": 0.0} for i in range(100)]
    train, test = mt.Data({Plain: rows}).split(at=60_000_000)
    graph = mt.Graph(kind=mt.distill(teacher, student, sample=30))
    for worth in (None, WORTH):
        found = graph.distill(train, test, worth, store=tmp_path, quiet=True)
        assert (found.agreement.value, found.agreement.n) == (1.0, 40)
        assert found.lost is found.gain is found.chosen is found.student.net is None
        assert "no outcome is known" in str(found)
        with pytest.raises(mt.DataError, match="nothing says whether the teacher or the student"):
            _ = found.graph
    evaluated = found.with_student.fit(train, store=tmp_path, quiet=True)
    with pytest.raises(mt.GraphError, match="no output can be measured"):
        evaluated.evaluate(test)


def test_outcomes_that_are_missing_in_the_test_part_decide_nothing(tmp_path: Path) -> None:
    train, test = notes(known=False)[0].split(at=(1_000_000 + 60 * 150) * 1_000_000)
    found = mt.Graph(kind=mt.distill(slow, by_size)).distill(train, test, WORTH, store=tmp_path, quiet=True)
    assert found.chosen is None
    assert found.agreement.n == 50


def test_without_a_worth_nothing_is_decided(tmp_path: Path) -> None:
    found = mt.Graph(kind=mt.distill(slow, by_size)).distill(*notes(), store=tmp_path, quiet=True)
    assert found.chosen is None
    assert found.lost is not None
    assert found.lost.n == 100


def test_events_of_which_the_teacher_says_nothing_teach_nothing(tmp_path: Path) -> None:
    rows = [{"at": i, "size": np.nan if i % 3 == 0 else float(i % 7 - 3), "noise": 0.0} for i in range(90)]
    train, test = mt.Data({Plain: rows}).split(at=60_000_000)
    teacher = Slow()(Plain.size)
    student = mt.Classify()(Plain.size, target=teacher).label
    found = mt.Graph(kind=mt.distill(teacher, student)).distill(train, test, store=tmp_path, quiet=True)
    assert (found.learnt, found.silent) == (40, 20)
    assert found.agreement.n == 20, "nor can a student agree with it there"
    silent = Slow()(Plain.size / 0.0)
    with pytest.raises(mt.RunError, match=r"of 60 events .* says nothing"):
        mt.Graph(kind=mt.taught(student, by=silent)).fit(train, store=tmp_path, quiet=True)


def test_a_student_learns_a_probability_as_it_is(tmp_path: Path) -> None:
    teacher = Chance()(Note.size, target=Note.good)
    students = {
        "logistic": mt.Logistic(C=100.0)(Note.size, target=Note.good),
        "trees": mt.LightGBM(min_rows=5)(Note.size, target=Note.good),
        "regression": mt.LightGBM("regression", min_rows=5)(Note.size, target=Note.weight),
    }
    for name, student in students.items():
        graph = mt.Graph(good=mt.distill(teacher, student, sample=200))
        found = graph.distill(*notes(known=False), mt.Worth(caught=1.0, false_alarm=-1.0), store=tmp_path, quiet=True)
        assert found.agreement.value is not None
        assert found.agreement.value > 0.95, name
        assert found.student.metric == "AUC"
    fitted = mt.Graph(good=mt.taught(students["logistic"], by=teacher)).fit(notes()[0], store=tmp_path, quiet=True)
    sizes = np.array([-1.0, 0.0, 0.5])
    answers = [answer["good"] for answer in fitted.ask_many([{"at": 0, "size": s, "noise": 0.0} for s in sizes])]
    assert answers == pytest.approx(1 / (1 + np.exp(-2 * sizes)), abs=0.02)


def test_numbers_agree_by_the_variance_that_is_followed(tmp_path: Path) -> None:
    teacher = mt.LightGBM("regression", min_rows=5)(Note.size, target=Note.weight)
    student = mt.Sklearn(tree())(Note.size, target=Note.weight)
    train, test = notes()
    found = mt.Graph(weight=mt.distill(teacher, student)).distill(train, test, store=tmp_path, quiet=True)
    values = [
        np.array([answer["weight"] for answer in graph.fit(train, store=tmp_path, quiet=True).ask_many(asks(test))])
        for graph in (found.with_teacher, found.with_student)
    ]
    far, spread = ((values[0] - values[1]) ** 2).sum(), ((values[0] - values[0].mean()) ** 2).sum()
    assert found.agreement.value == pytest.approx(1 - far / spread)
    truth = np.asarray(test.tables[Note].columns["weight"])[test.asked[Note]]
    errors = [np.sqrt(((value - truth) ** 2).mean()) for value in values]
    assert found.teacher.metric == "RMSE"
    assert found.lost is not None
    assert found.lost.value == pytest.approx(errors[1] - errors[0])
    assert errors[1] > errors[0], "a larger error is a loss"


def test_numbers_are_compared_where_both_say_one(tmp_path: Path) -> None:
    here = mt.function(mt.Number)(positive_or_missing)(Note.size)
    teacher, student = Chance()(here, target=Note.good), mt.Logistic()(Note.noise, target=Note.good)
    train, test = notes()
    graph = mt.Graph(good=mt.distill(teacher, student))
    found = graph.distill(train, test, mt.Worth(caught=1.0, false_alarm=-1.0), store=tmp_path, quiet=True)
    some = int((np.asarray(test.tables[Note].columns["size"])[test.asked[Note]] > 0).sum())
    assert 0 < some < found.n == 100
    assert found.lost is not None
    assert found.gain is not None
    assert {found.agreement.n, found.lost.n} == {some}
    assert found.gain.n == 100, "where no probability is given, nothing is flagged"
    assert found.silent > 0


def positive_or_missing(values: Array) -> Array:
    return np.where(values > 0, values, np.nan)


def tree() -> Any:
    from sklearn.tree import DecisionTreeRegressor

    return DecisionTreeRegressor(max_depth=1)


def asks(test: mt.Data) -> list[dict[str, float]]:
    columns = {name: np.asarray(test.tables[Note].columns[name])[test.asked[Note]] for name in ("size", "noise")}
    return [{"at": 0, "size": s, "noise": n} for s, n in zip(columns["size"], columns["noise"], strict=True)]


def test_a_teacher_that_learns_teaches_the_events_that_it_learnt_from(tmp_path: Path) -> None:
    teacher = mt.Classify()(Note.size, Note.noise, target=Note.kind).label
    found = mt.Graph(kind=mt.distill(teacher, by_size)).distill(*notes(), WORTH, store=tmp_path, quiet=True)
    assert found.learnt == 200


def test_the_place_may_be_read_by_another_model(tmp_path: Path) -> None:
    above = mt.Classify()(mt.distill(slow, by_size, sample=50), Note.noise, target=Note.kind)
    found = mt.Graph(label=above.label, sure=above.confidence).distill(*notes(), WORTH, store=tmp_path, quiet=True)
    assert found.agreement.n == 100
    assert found.lost is not None
    assert found.lost.n == 100


def test_what_does_not_read_the_place_says_nothing_of_it(tmp_path: Path) -> None:
    graph = mt.Graph(other=by_noise, kind=mt.distill(slow, by_size))
    found = graph.distill(*notes(), WORTH, store=tmp_path, quiet=True)
    alone = mt.Graph(kind=mt.distill(slow, by_size)).distill(*notes(), WORTH, store=tmp_path, quiet=True)
    assert (found.teacher.quality, found.student.quality) == (alone.teacher.quality, alone.student.quality)


def test_it_is_a_place_to_choose_for_too(tmp_path: Path) -> None:
    graph = mt.Graph(kind=mt.distill(slow, by_size))
    found = graph.choose(*notes(), WORTH, DEAR, requests=1_000_000, store=tmp_path, quiet=True)
    assert [row.name for row in found.rows] == ["slow", "kind.student"]
    assert found.chosen == "kind.student"


def test_a_student_may_be_better_off_without_a_teacher(tmp_path: Path) -> None:
    wrong = mt.Classify()(Note.noise, target=Note.kind).label
    alone, schooled = by_size, mt.taught(by_size, by=wrong, sample=100)
    found = mt.Graph(kind=mt.choose(wrong, schooled, alone)).choose(*notes(), WORTH, store=tmp_path, quiet=True)
    assert {row.metric for row in found.rows} == {"accuracy"}
    assert [row.name for row in found.rows][1] == "schooled"
    assert found.graph.fingerprint == mt.Graph(kind=by_size).fingerprint


def test_a_plan_says_that_a_teacher_works_for_the_fit_alone(tmp_path: Path) -> None:
    train, _ = notes()
    graph = mt.Graph(kind=mt.taught(by_size, by=slow, sample=50))
    lines = {line.column: line for line in graph.plan(train, store=tmp_path).lines}
    assert (lines["slow"].computed, lines["slow"].times) == ("when the graph is fitted", 50)
    assert not lines["slow"].per_request
    assert lines["kind"].per_request


chance = Chance()(Note.size, target=Note.good)
weight = mt.LightGBM("regression")(Note.size, target=Note.weight)


def test_what_only_a_teacher_reads_is_neither_prepared_nor_a_place_that_answers() -> None:
    liked = Purchase.stars >= 4
    teacher = mt.Logistic()(Chance()(Buyer.age), Purchase.amount, target=liked).otherwise(Purchase.amount)
    student = mt.Logistic()(Purchase.amount, target=liked)
    strong, cheap = mt.Graph(likes=teacher), mt.Graph(likes=mt.taught(student, by=teacher))
    assert len(prepared_columns(strong)) == len(places(strong)) == 1
    assert len(prepared_columns(cheap)) == len(places(cheap)) == 0


REFUSED: list[tuple[str, Any]] = [
    ("a sample of 0 events teaches nothing", lambda: mt.distill(slow, by_size, sample=0)),
    ("a sample of 'all' events teaches nothing", lambda: mt.distill(slow, by_size, sample="all")),  # pyright: ignore
    ("learns from no target, and so from no teacher", lambda: mt.distill(by_size, slow)),
    ("Number and cannot take the place of .*, a Category", lambda: mt.distill(by_size, chance)),  # pyright: ignore
    ("labels or numbers are distilled, and the teacher is .*, a Time", lambda: mt.distill(Note.at, by_size)),  # pyright: ignore
    ("labels or numbers are distilled, and the student is 3", lambda: mt.distill(slow, 3)),  # pyright: ignore
    ("Note.kind is an outcome", lambda: mt.distill(Note.kind, by_size)),
    ("reads what .* says, and so cannot", lambda: mt.distill(slow, mt.Classify()(slow, target=Note.kind).label)),
    ("reads what .* says, and so cannot", lambda: mt.distill(by_size, by_size)),
    (
        "exists once per {Item}, .* once per {Purchase}",
        lambda: mt.distill(Item.kind, mt.Classify()(Purchase.amount, target=Purchase.item.kind).label),
    ),
    (
        "once per {Note}, .* once per {Plain}",
        lambda: mt.distill(slow, mt.Classify()(Plain.size, target=Slow()(Plain.size)).label),
    ),
    (
        "Sklearn.* learns a Flag, and .* says a Number",
        lambda: mt.distill(chance, mt.Sklearn(classifier())(Note.noise, target=Note.good)),
    ),
    (
        "learns a Flag, and .* says a Number that predicts a Number",
        lambda: mt.distill(weight, mt.Logistic()(Note.noise, target=Note.good)),
    ),
]


@pytest.mark.parametrize(("why", "build"), REFUSED, ids=[why for why, _ in REFUSED])
def test_what_cannot_be_taught_is_refused_where_it_is_written(why: str, build: Any) -> None:
    with pytest.raises(mt.GraphError, match=why) as refused:
        build()
    assert refused.value.help


def classifier() -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier()


def test_a_teacher_of_something_else_than_chances_is_refused_when_it_is_learnt_from(tmp_path: Path) -> None:
    for student in (mt.Logistic()(Note.noise, target=Note.good), mt.LightGBM()(Note.noise, target=Note.good)):
        graph = mt.Graph(good=mt.taught(student, by=chance * 3.0))
        with pytest.raises(mt.RunError, match="learns how likely a Flag is, and its target says"):
            graph.fit(notes()[0], store=tmp_path, quiet=True)


def test_one_place_only_and_one_of_a_teacher(tmp_path: Path) -> None:
    two = mt.Graph(one=mt.distill(slow, by_size), two=mt.distill(slow, by_noise))
    with pytest.raises(mt.GraphError, match="2 places"):
        two.distill(*notes(), store=tmp_path)
    with pytest.raises(mt.GraphError, match="0 places"):
        mt.Graph(kind=slow).distill(*notes(), store=tmp_path)
    with pytest.raises(mt.GraphError, match="nobody is taught in one of"):
        mt.Graph(kind=mt.choose(slow, by_size)).distill(*notes(), store=tmp_path)


def test_a_worth_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(mt.DataError, match="no output that reads the place"):
        mt.Graph(kind=mt.distill(slow, by_size)).distill(*notes(), mt.Worth(hit=1.0), store=tmp_path, quiet=True)


def test_nothing_is_fitted_before_it_is_decided(tmp_path: Path) -> None:
    with pytest.raises(mt.GraphError, match="nothing is chosen yet") as refused:
        mt.Graph(kind=mt.distill(slow, by_size)).fit(notes()[0], store=tmp_path, quiet=True)
    assert "graph.distill" in refused.value.help
