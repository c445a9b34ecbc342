"""Models are fitted in order, on what could be known at the time, once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import motet as mt
from motet.fit import STACKED
from tests.probe import FITTED, Probe
from tests.shop import Buyer, Item, Purchase, shop, stored

liked = Purchase.stars >= 3  # known an hour after the purchase
lower = Probe("lower")(Purchase.amount, at=Purchase.at, target=liked)
upper = Probe("upper")(lower, at=Purchase.at, target=liked)
stack = mt.Graph(upper=upper)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    FITTED.clear()
    yield
    FITTED.clear()


@pytest.fixture
def data() -> mt.Data:
    return shop()


def fitted_on(name: str) -> list[np.ndarray]:
    return [batch["at"] for batch in FITTED[name]]


def test_a_model_alone_learns_from_all_events(data: mt.Data, tmp_path: Path) -> None:
    mt.Graph(lower=lower).fit(data, store=tmp_path, quiet=True)
    (times,) = fitted_on("lower")
    assert times.tolist() == stored(data, Purchase, "at").tolist()


def test_a_stacked_model_learns_from_later_events_than_those_below_it(data: mt.Data, tmp_path: Path) -> None:
    stack.fit(data, store=tmp_path, quiet=True)
    (later,) = fitted_on("upper")
    whole, early = sorted(fitted_on("lower"), key=len, reverse=True)
    assert early.max() < later.min()
    assert len(whole) == len(stored(data, Purchase, "at"))
    cut = later.min()
    assert early.tolist() == whole[whole + 3600 * 1_000_000 < cut].tolist(), "those whose outcome had arrived"
    assert len(later) == pytest.approx(STACKED * len(whole), abs=2)


def test_a_stacked_model_sees_only_out_of_time_outputs(data: mt.Data, tmp_path: Path) -> None:
    stack.fit(data, store=tmp_path, quiet=True)
    (batch,) = FITTED["upper"]
    assert set(batch["read0"].tolist()) == {float(min(times.max() for times in fitted_on("lower")))}
    assert batch["read0"].max() < batch["at"].min()


def test_what_answers_below_a_stacked_model_has_learnt_from_all(data: mt.Data, tmp_path: Path) -> None:
    states = stack.fit(data, store=tmp_path, quiet=True).states
    (below,) = lower.node.fits
    assert states.values[below.fingerprint]["latest"] == stored(data, Purchase, "at").max()


def test_three_storeys_never_see_their_own_time(tmp_path: Path) -> None:
    data = shop(events=2000)  # so long that outcomes arrive within every part
    top = Probe("top")(upper, at=Purchase.at, target=liked)
    mt.Graph(top=top).fit(data, store=tmp_path, quiet=True)
    for name in ("upper", "top"):
        for batch in FITTED[name]:
            assert batch["read0"].max() < batch["at"].min(), name


def test_a_model_that_learns_from_no_outcome_is_fitted_once(data: mt.Data, tmp_path: Path) -> None:
    total = Probe("total")(Purchase.amount, at=Purchase.at, target=Purchase.amount)
    beside = Probe("upper")(total, at=Purchase.at, target=Purchase.stars >= 4)
    mt.Graph(beside=beside).fit(data, store=tmp_path, quiet=True)
    assert len(fitted_on("total")) == 1


def test_a_student_learns_from_the_events_that_its_teacher_was_fitted_on(data: mt.Data, tmp_path: Path) -> None:
    student = mt.taught(Probe("upper")(Purchase.amount, at=Purchase.at, target=Purchase.amount), by=lower)
    fitted = mt.Graph(student=student).fit(data, store=tmp_path, quiet=True)
    assert len(fitted_on("lower")) == 1
    (times,) = fitted_on("upper")
    assert len(times) == len(stored(data, Purchase, "at"))
    (fit,) = student.node.fits
    (batch,) = fitted_on("lower")
    assert fitted.states.values[fit.fingerprint]["sum"] == pytest.approx(len(times) * float(batch.max()))


def test_what_is_stacked_on_a_student_learns_from_later_events(data: mt.Data, tmp_path: Path) -> None:
    student = mt.taught(Probe("middle")(Purchase.amount, at=Purchase.at, target=Purchase.amount), by=lower)
    mt.Graph(upper=Probe("upper")(student, at=Purchase.at, target=liked)).fit(data, store=tmp_path, quiet=True)
    (later,) = fitted_on("upper")
    _, early = sorted(fitted_on("middle"), key=len, reverse=True)
    assert early.max() < later.min()


def test_a_second_fit_finds_every_state(data: mt.Data, tmp_path: Path) -> None:
    first = stack.fit(data, store=tmp_path, quiet=True)
    calls = {name: len(batches) for name, batches in FITTED.items()}
    second = stack.fit(data, store=tmp_path, quiet=True)
    assert {name: len(batches) for name, batches in FITTED.items()} == calls
    assert second.states.names == first.states.names


def test_equal_data_bound_anew_find_every_state(tmp_path: Path) -> None:
    first = stack.fit(shop(), store=tmp_path, quiet=True)
    second = stack.fit(shop(), store=tmp_path, quiet=True)
    assert second.states.names == first.states.names
    assert len(fitted_on("upper")) == 1


def test_other_rows_or_another_seed_are_other_states(data: mt.Data, tmp_path: Path) -> None:
    graph = mt.Graph(lower=lower)
    (key,) = (fit.fingerprint for fit in graph.fits)
    names = [
        graph.fit(data, store=tmp_path, quiet=True).states.names[key],
        graph.fit(data, store=tmp_path, quiet=True, seed=1).states.names[key],
        graph.fit(shop(seed=1), store=tmp_path, quiet=True).states.names[key],
        graph.fit(data.split(last=1, by=Purchase.buyer)[0], store=tmp_path, quiet=True).states.names[key],
    ]
    assert len(set(names)) == len(names)
    assert [batch.seed for batch in FITTED["lower"]] == [0, 1, 0, 0]


def test_what_the_graph_does_not_read_may_change(data: mt.Data, tmp_path: Path) -> None:
    graph = mt.Graph(lower=lower)
    graph.fit(data, store=tmp_path, quiet=True)
    items = [{"item_id": i, "name": "renamed", "price": 1.0, "kind": "tea"} for i in range(12)]
    people = [{"buyer_id": f"b{b}", "age": 1.0} for b in range(20)]
    table = data.tables[Purchase]
    rows = [
        {
            "buyer": f"b{stored(data, Purchase, 'buyer').codes[i]}",
            "at": stored(data, Purchase, "at")[i] / 1e6,
            "amount": stored(data, Purchase, "amount")[i],
            "item": int(stored(data, Purchase, "item").codes[i]),
            "stars": stored(data, Purchase, "stars")[i],
        }
        for i in range(len(table))
    ]
    graph.fit(mt.Data({Item: items, Buyer: people, Purchase: rows}), store=tmp_path, quiet=True)
    assert len(fitted_on("lower")) == 1


def test_a_model_that_fails_names_itself_and_leaves_the_lower_states(data: mt.Data, tmp_path: Path) -> None:
    failing = Probe("upper", fails=True)(lower, at=Purchase.at, target=liked)
    with pytest.raises(mt.RunError, match=r"fitted Probe.*ValueError: the probe fails"):
        mt.Graph(failing=failing).fit(data, store=tmp_path, quiet=True)
    below = len(fitted_on("lower"))
    assert below == 2
    stack.fit(data, store=tmp_path, quiet=True)
    assert len(fitted_on("lower")) == below


def test_an_interrupt_leaves_the_lower_states(data: mt.Data, tmp_path: Path) -> None:
    stopped = Probe("upper", interrupted=True)(lower, at=Purchase.at, target=liked)
    with pytest.raises(KeyboardInterrupt):
        mt.Graph(stopped=stopped).fit(data, store=tmp_path, quiet=True)
    below = len(fitted_on("lower"))
    stack.fit(data, store=tmp_path, quiet=True)
    assert below == len(fitted_on("lower")) == 2


def test_records_that_are_not_bound_are_named(tmp_path: Path) -> None:
    class Other(mt.Entity):
        other_id: mt.Key
        size: mt.Number

    with pytest.raises(mt.DataError, match="reads Other"):
        mt.Graph(size=Other.size * 2).fit(shop(), store=tmp_path, quiet=True)


def test_events_at_one_time_cannot_be_stacked_on(tmp_path: Path) -> None:
    rows = [{"buyer": "b", "at": 5, "amount": float(i), "item": 1, "stars": 1.0} for i in range(20)]
    item = {"item_id": 1, "name": "", "price": 1.0, "kind": "tea"}
    data = mt.Data({Item: [item], Buyer: [{"buyer_id": "b", "age": 1.0}], Purchase: rows})
    with pytest.raises(mt.DataError, match="all 20 of Purchase happen at one time"):
        stack.fit(data, store=tmp_path, quiet=True)


def test_a_real_stack_is_reproducible(data: mt.Data, tmp_path: Path) -> None:
    """Logistic regression below boosted trees, fitted in two stores: equal answers to the bit."""
    likes = mt.Logistic()(Purchase.amount, Purchase.buyer.age, target=Purchase.stars >= 3)
    graph = mt.Graph(score=mt.LightGBM("binary", trees=20)(likes, Purchase.amount, target=Purchase.stars >= 3))
    asks = [{"buyer": "b1", "at": 2_000_000, "amount": float(n)} for n in range(0, 50, 7)]
    answers = [graph.fit(data, store=tmp_path / name, quiet=True).ask_many(asks) for name in ("first", "second")]
    assert answers[0] == answers[1]
    assert len({answer["score"] for answer in answers[0]}) > 1


def test_a_probe_is_frozen() -> None:
    with pytest.raises(AttributeError):
        replace(Probe("x")).name = "y"  # pyright: ignore[reportAttributeAccessIssue]
