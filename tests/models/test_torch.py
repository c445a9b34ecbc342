"""Any torch module as a model, exported at the fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motet as mt
from motet.errors import GraphError, RunError
from motet.fitted import published
from tests.shop import Item, Purchase, asked, shop

torch = pytest.importorskip("torch")
nn = torch.nn


def weighed(*weights: float) -> Any:
    """A layer that adds its inputs up by these weights."""
    made = nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        made.weight[:] = torch.tensor([weights])
    return made


TEXT: Any = Item.name
SEARCH: Any = Purchase.search


class Two(nn.Module):
    """A number, and a name as a row of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.names = nn.Embedding(4, 1)
        with torch.no_grad():
            self.names.weight[:, 0] = torch.tensor([0.0, 10, 20, 30])

    def forward(self, price: Any, kind: Any) -> Any:
        return price + self.names(kind)[:, 0]


class Joined(nn.Module):
    """Depends on what else is in the batch."""

    def forward(self, x: Any) -> Any:
        return x.sum(dim=1) - x.mean()


class Branching(nn.Module):
    """Decides row by row in Python, which a trace cannot follow."""

    def forward(self, x: Any) -> Any:
        return torch.stack([row.sum() if float(row[0]) > 24 else -row.sum() for row in x])


class Plus(nn.Module):
    """Its input and a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.more = nn.Parameter(torch.ones(1))

    def forward(self, x: Any) -> Any:
        return x.reshape(-1) + self.more


class Odd(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.special.i0e(x[:, 0])  # ONNX has no such operation


def descends(module: Any, inputs: Any, target: Any) -> None:
    """A few steps of gradient descent on whatever it is."""
    optimiser = torch.optim.Adam(module.parameters(), lr=0.1)
    for _ in range(200):
        optimiser.zero_grad()
        made = module(*inputs)
        whole = target.dtype == torch.int64
        loss = nn.functional.cross_entropy(made, target) if whole else ((made.reshape(-1) - target) ** 2).mean()
        loss.backward()
        optimiser.step()


def fitted(folder: Path, **outputs: Any) -> Any:
    return mt.Graph(**outputs).fit(shop(), store=folder, quiet=True)


def test_columns_by_position_are_one_matrix(tmp_path: Path) -> None:
    made = mt.Torch(weighed(1, 100))(Purchase.amount, Purchase.buyer.age)
    answer = fitted(tmp_path, made=made).ask(buyer="b3", amount=2.5)
    assert answer["made"] == pytest.approx(2.5 + 2300)


def test_columns_by_name_are_a_tensor_each(tmp_path: Path) -> None:
    """The names of a category count from 1 in their order: cup, pot, tea."""
    made = mt.Torch(Two())(price=Item.price, kind=Item.kind)
    held = fitted(tmp_path, made=made).context(shop()).shared(made)
    assert np.asarray(held)[:3].tolist() == [1 + 30, 2 + 10, 3 + 20]


def test_a_missing_number_is_the_average(tmp_path: Path) -> None:
    made = mt.Torch(weighed(1))(Purchase.amount)
    graph = fitted(tmp_path, made=made)
    usual = float(np.mean(asked(Purchase.amount, shop())))
    assert graph.ask(buyer="b3", amount=None)["made"] == pytest.approx(usual)


@pytest.mark.parametrize("named", [False, True], ids=["by position", "by name"])
def test_a_number_that_no_training_row_has_means_nothing_to_what_is_learnt(named: bool, tmp_path: Path) -> None:
    rare = mt.function(mt.Number)(lambda amount: np.where(amount == -1, 100.0, np.nan))(Purchase.amount)
    given: Any = ((), {"x": rare}) if named else ((rare,), {})
    learnt = mt.Torch(Plus(), train=descends)(*given[0], **given[1], target=Purchase.amount)
    still = mt.Torch(Plus())(*given[0], **given[1])
    graph = fitted(tmp_path, learnt=learnt, still=still)
    lacking, told = graph.ask(buyer="b3", amount=1), graph.ask(buyer="b3", amount=-1)
    assert told["learnt"] == lacking["learnt"]
    assert (lacking["still"], told["still"]) == (1, 101)


def test_a_vector_is_as_wide_as_the_module_makes_it(tmp_path: Path) -> None:
    made: Any = mt.Torch(nn.Linear(1, 3), kind=mt.Vector)(Item.price)
    assert fitted(tmp_path, made=made).context(shop()).shared(made).shape == (12, 3)


def test_logits_become_a_label_and_its_probability(tmp_path: Path) -> None:
    class Halves(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.cat([24.5 - x, x - 24.5], dim=1)

    said = mt.Torch(Halves(), kind=mt.Category, labels=("small", "large"))(Purchase.amount)
    graph = fitted(tmp_path, label=said.label, sure=said.confidence)
    assert graph.ask(buyer="b3", amount=25) == {"label": "large", "sure": pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)}
    assert graph.ask(buyer="b3", amount=1)["label"] == "small"


def test_what_is_not_trained_is_held_against_its_target(tmp_path: Path) -> None:
    net = mt.Torch(weighed(1))
    held = fitted(tmp_path, made=net(Purchase.amount, target=Purchase.stars))
    assert held.evaluate(shop()).figures
    assert net(Purchase.amount, target=Purchase.stars).fingerprint == net(Purchase.amount).fingerprint


def test_it_is_trained_by_the_function_that_is_given(tmp_path: Path) -> None:
    """Also what is taken: the seed, so that a second fit is the same, and a copy of the module."""
    start = weighed(0)
    model = mt.Torch(nn.Sequential(start, nn.Sigmoid()), train=descends)
    made = model(Purchase.amount, target=Purchase.amount >= 25)
    data = shop()
    first, second = fitted(tmp_path / "a", made=made), fitted(tmp_path / "b", made=made)
    assert first.ask(buyer="b3", amount=49) == second.ask(buyer="b3", amount=49)
    assert first.ask(buyer="b3", amount=49)["made"] > 0.8
    assert start.weight.item() == 0
    assert len(data.tables[Purchase]) == 400


def test_a_category_is_trained_with_the_places_of_its_labels(tmp_path: Path) -> None:
    class Bought(mt.Event):
        at: mt.Time
        amount: mt.Number
        size: mt.Category = mt.outcome()

    rows = [{"at": i, "amount": i % 10 - 4.5, "size": "large" if i % 10 > 4 else "small"} for i in range(100)]
    said = mt.Torch(nn.Linear(1, 2), kind=mt.Category, train=descends)(Bought.amount, target=Bought.size)
    graph = mt.Graph(label=said.label).fit(mt.Data({Bought: rows}), store=tmp_path, quiet=True)
    assert [graph.ask(at=200, amount=a)["label"] for a in (-3, 3)] == ["small", "large"]


def test_it_ranks_candidates_that_it_has_learnt_of(tmp_path: Path) -> None:
    found = mt.retrieve(Item, k=6, by=[mt.Popular()(Purchase.item)], exclude=mt.past(Purchase.item, by=Purchase.buyer))
    best = mt.Torch(nn.Linear(2, 1), train=descends)(found, Item.price, target=Purchase.item)
    scores = [each["score"] for each in fitted(tmp_path, best=best).ask(buyer="new", amount=1)["best"]]
    assert len(scores) == 6
    assert scores == sorted(scores, reverse=True)


def test_what_serves_needs_no_torch(tmp_path: Path) -> None:
    """The published version answers in a process that cannot import it. The graph itself holds the module, so that
    process is given the state alone."""
    made = mt.Torch(weighed(1, 100))(Purchase.amount, Purchase.buyer.age)
    graph = fitted(tmp_path, made=made)
    state = graph.context(shop()).states[made.node.fit.fingerprint]  # pyright: ignore
    assert state["made"].dtype == np.uint8
    (tmp_path / "model.onnx").write_bytes(state["made"].tobytes())
    code = (
        "import sys; sys.modules['torch'] = None; import numpy as np, onnxruntime\n"
        f"session = onnxruntime.InferenceSession({str(tmp_path / 'model.onnx')!r})\n"
        "print(session.run(None, {'input': np.array([[2, 3]], np.float32)})[0].tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[302.0]]"


def test_a_published_version_answers_the_same(tmp_path: Path) -> None:
    graph = mt.Graph(made=mt.Torch(nn.Linear(1, 1))(Purchase.amount))
    graph.fit(shop(), store=tmp_path, quiet=True).prepare(name="goods")
    again = published(graph, name="goods", store=tmp_path, quiet=True)
    kept = graph.fit(shop(), store=tmp_path, quiet=True)
    assert again.ask(buyer="b1", amount=3) == kept.ask(buyer="b1", amount=3)


def test_a_module_that_onnx_cannot_express_is_kept_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot be written as ONNX.*\n.*onnx=False"):
        fitted(tmp_path, made=mt.Torch(Odd())(Purchase.amount))
    made = mt.Torch(Odd(), onnx=False)(Purchase.amount)
    assert fitted(tmp_path, made=made).ask(buyer="b1", amount=0)["made"] == pytest.approx(1)


def test_equal_modules_are_one_model_and_a_changed_weight_is_another() -> None:
    def name(module: Any) -> str:
        return mt.Torch(module)(Purchase.amount).fingerprint

    assert name(weighed(1)) == name(weighed(1))
    assert name(weighed(1)) != name(weighed(2))
    assert name(nn.Sequential(weighed(1), nn.LeakyReLU(0.1))) != name(nn.Sequential(weighed(1), nn.LeakyReLU(0.2)))


class Holding(nn.Module):
    """Holds whatever it is given, as modules are written that hold more than weights."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held

    def forward(self, x: Any) -> Any:
        return x[:, 0]


def buffered(number: float) -> Any:
    made = nn.Identity()
    made.register_buffer("shift", torch.tensor([number]), persistent=False)
    return made


def narrow(*weights: float) -> Any:
    return nn.Parameter(torch.tensor(weights, dtype=torch.bfloat16))


class Narrow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = narrow(2)

    def forward(self, x: Any) -> Any:
        return (x * self.weight.float()).sum(dim=1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: Holding([1, 2]), lambda: Holding([1, 3])),
        (lambda: Holding({"a": 1}), lambda: Holding({"a": 2})),
        (lambda: Holding({"a": [torch.ones(1)]}), lambda: Holding({"a": [torch.zeros(1)]})),
        (lambda: Holding(torch.ones(2)), lambda: Holding(torch.tensor([1.0, 2]))),
        (lambda: Holding(torch.ones(2)), lambda: Holding(torch.ones(2, dtype=torch.float64))),
        (lambda: Holding(np.float32(1)), lambda: Holding(np.float32(2))),
        (lambda: Holding([weighed(1)]), lambda: Holding([weighed(2)])),
        (lambda: buffered(1), lambda: buffered(2)),
        (lambda: Holding(narrow(1, 2)), lambda: Holding(narrow(1, 3))),
    ],
)
def test_whatever_a_module_holds_is_in_its_identity(one: Any, other: Any) -> None:
    assert mt.Torch(one()).identity() == mt.Torch(one()).identity()
    assert mt.Torch(one()).identity() != mt.Torch(other()).identity()


def test_a_part_that_comes_twice_is_told_from_another() -> None:
    low, high = nn.LeakyReLU(0.1), nn.LeakyReLU(0.2)
    assert mt.Torch(nn.Sequential(low, high, low)).identity() != mt.Torch(nn.Sequential(low, high, high)).identity()


@pytest.mark.parametrize("onnx", [True, False])
def test_weights_of_half_the_width_are_read_as_they_are(tmp_path: Path, onnx: bool) -> None:
    made = mt.Torch(Narrow(), onnx=onnx)(Purchase.amount)
    assert fitted(tmp_path, made=made).ask(buyer="b1", amount=3)["made"] == 6


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: mt.Torch("net"), "is no torch module"),
        (lambda: mt.Torch(nn.Linear), "is no torch module"),
        (lambda: mt.Torch(weighed(1), kind=mt.Text), "no module makes a Text"),
        (lambda: mt.Torch(weighed(1), kind=mt.Category), "needs the labels"),
        (lambda: mt.Torch(weighed(1), labels=("a", "b")), "takes no labels"),
        (lambda: mt.Torch(weighed(1), kind=mt.Vector, train=descends), "no outcome is a Vector"),
        (lambda: mt.Torch(weighed(1))(), r"not given its argument 'input'; there are: input\nhelp: .*\(input=\.\.\.\)"),
        (lambda: mt.Torch(Two())(price=Item.price), "not given its argument 'kind'"),
        (lambda: mt.Torch(Two())(price=Item.price, kind=Item.kind, age=Item.price), "no argument 'age'"),
        (lambda: mt.Torch(Two())(Item.price, price=Item.price, kind=Item.kind), "first argument twice"),
        (lambda: mt.Torch(Two())(price=TEXT, kind=Item.kind), "Item.name is a Text"),
        (lambda: mt.Torch(weighed(1))(TEXT), "Item.name is a Text"),
        (lambda: mt.Torch(weighed(1), train=descends)(Purchase.amount), "has nothing to learn"),
        (lambda: mt.Torch(weighed(1), train=descends)(Purchase.amount, target=SEARCH), "is Purchase.search"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_built(build: Any, says: str) -> None:
    with pytest.raises(GraphError, match=says) as refused:
        build()
    assert refused.value.help


@pytest.mark.parametrize(
    ("module", "kind", "says"),
    [
        (weighed(1, 2), mt.Number, r"cannot read its inputs.*\n.*input: float32 \[n, 1\]"),
        (nn.Linear(1, 2), mt.Number, r"shape \[64\] or \[64, 1\] from 64 rows, and gave \[64, 2\]"),
        (weighed(float("nan")), mt.Number, "not finite"),
        (Joined(), mt.Number, "something else alone than among others"),
        (Branching(), mt.Number, "gives other numbers as ONNX"),
    ],
)
def test_what_does_not_fit_is_said_at_the_fit(module: Any, kind: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=says):
        fitted(tmp_path, made=mt.Torch(module, kind=kind)(Purchase.amount))


class Fails(nn.Module):
    def forward(self, x: Any) -> Any:
        raise ValueError("boom")


def raises(module: Any, inputs: Any, target: Any) -> None:
    descends(module, inputs, target[:1].repeat(7))


@pytest.mark.parametrize(
    ("model", "says", "code"),
    [
        (mt.Torch(Fails()), r"Torch\(Fails\) failed: ValueError: boom", Fails.forward),
        (mt.Torch(weighed(1), train=raises), r"Torch\(Linear\) cannot be trained: \w+: ", descends),
        (mt.Torch(weighed(1), train=lambda *given: 1 / 0), "cannot be trained: ZeroDivisionError: division", None),
    ],
)
def test_what_the_authors_code_raises_names_its_line(model: Any, says: str, code: Any, tmp_path: Path) -> None:
    target = {} if model.train is None else {"target": Purchase.amount}
    with pytest.raises(RunError, match=says) as failed:
        fitted(tmp_path, made=model(Purchase.amount, **target))
    file, _, line = failed.value.help.rpartition(":")
    assert file == f"look at {__file__}"
    if code is not None:
        first = code.__code__.co_firstlineno
        assert first < int(line) < first + 9


def test_what_is_no_probability_is_refused_for_a_flag(tmp_path: Path) -> None:
    made = mt.Torch(weighed(1), train=lambda module, inputs, target: None)(
        Purchase.amount, target=Purchase.amount >= 25
    )
    with pytest.raises(RunError, match="no probabilities"):
        fitted(tmp_path, made=made)


def test_one_class_only_is_no_lesson(tmp_path: Path) -> None:
    made = mt.Torch(weighed(1), train=descends)(Purchase.amount, target=Purchase.amount >= 0)
    with pytest.raises(RunError, match=r"only one value to learn from: its target is 1 in all \d+ rows"):
        fitted(tmp_path, made=made)
