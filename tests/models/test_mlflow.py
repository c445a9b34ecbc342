"""Models out of MLflow, saved here; skipped where it is not installed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

import motet as mt
from motet.errors import GraphError, RunError
from motet.graph import Graph
from tests.shop import Item, Purchase, shop

pyfunc = pytest.importorskip("mlflow.pyfunc", reason='needs MLflow: pip install "motet[mlflow]"')
PAST: Any = mt.past(Purchase.amount, by=Purchase.buyer)


def saved(folder: Path, *, several: bool = False, fails: bool = False) -> Path:
    """A model of two columns: a number, and how long a text is."""
    models, types = (importlib.import_module(f"mlflow.{name}") for name in ("models", "types"))

    class Total(pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            if fails:
                raise ValueError("no way")
            made = model_input["amount"] + model_input["text"].str.len()
            return model_input.assign(total=made)[["amount", "total"]] if several else made.to_numpy()

    schema = types.Schema([types.ColSpec("double", "amount"), types.ColSpec("string", "text")])
    made = folder / f"model-{several}-{fails}"
    pyfunc.save_model(made, python_model=Total(), signature=models.ModelSignature(schema), pip_requirements=[])
    return made


pytestmark = pytest.mark.filterwarnings("ignore")  # what MLflow itself warns of is no fault of a model here


def test_it_computes_what_was_logged(tmp_path: Path) -> None:
    total = mt.MLflow(saved(tmp_path))(amount=Purchase.amount, text=Purchase.search)
    fitted = Graph(total=total).fit(shop(), store=tmp_path / "store", quiet=True)
    assert fitted.ask(buyer="b1", amount=2.5, search="été") == {"total": 5.5}


def test_one_of_several_columns_and_a_vector(tmp_path: Path) -> None:
    uri = saved(tmp_path, several=True)
    args: Any = {"amount": Purchase.amount, "text": Purchase.search}
    one, both = mt.MLflow(uri, output="total")(**args), mt.MLflow(uri, kind=mt.Vector)(**args)
    fitted = Graph(one=one, both=both).fit(shop(), store=tmp_path / "store", quiet=True)
    assert fitted.ask(buyer="b1", amount=2, search="ab") == {"one": 4, "both": [2, 4]}
    with pytest.raises(RunError, match=r"columns amount, total\nhelp: output="):
        Graph(one=mt.MLflow(uri)(**args)).fit(shop(), store=tmp_path / "other", quiet=True).ask(
            buyer="b1", amount=2, search="ab"
        )


def test_it_ranks_candidates(tmp_path: Path) -> None:
    found = mt.retrieve(Item, k=5, by=[mt.Popular()(Purchase.item)], exclude=mt.past(Purchase.item, by=Purchase.buyer))
    best = mt.MLflow(saved(tmp_path))(found, amount=Item.price, text=Item.name)
    listed = Graph(best=best).fit(shop(events=60), store=tmp_path / "s", quiet=True).ask(buyer="b1", amount=1)["best"]
    scores = [each["score"] for each in listed]
    assert scores == sorted(scores, reverse=True)
    assert scores == [each["item_id"] + 1 + len(each["name"]) for each in listed]


def test_what_does_not_fit_is_refused_where_it_is_built(tmp_path: Path) -> None:
    model = mt.MLflow(saved(tmp_path))
    for build, says in (
        (lambda: model(amount=Purchase.amount), "not given its column 'text'"),
        (lambda: model(amount=Purchase.amount, text=Purchase.search, x=Purchase.amount), "has no column 'x'"),
        (lambda: model(amount=PAST, text=Purchase.search), "is a Sequence"),
        (lambda: model(), "given no column"),
        (lambda: mt.MLflow("x", kind=mt.Tags), "makes a Tags"),
    ):
        with pytest.raises(GraphError, match=says) as refused:
            build()
        assert refused.value.help


def test_a_model_that_is_not_there_or_fails_is_a_run_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot load(.|\n)*MLmodel"):
        mt.MLflow(tmp_path / "nowhere")(amount=Purchase.amount)
    made = mt.MLflow(saved(tmp_path, fails=True))(amount=Purchase.amount, text=Purchase.search)
    graph = Graph(made=made.otherwise(Purchase.amount))
    fitted = graph.fit(shop(), store=tmp_path / "store", quiet=True)
    assert fitted.ask(buyer="b1", amount=2) == {"made": 2}


def test_another_model_in_the_folder_is_another_model(tmp_path: Path) -> None:
    first, second = mt.MLflow(saved(tmp_path)), mt.MLflow(saved(tmp_path, several=True))
    assert first.identity() == mt.MLflow(first.uri).identity()
    assert len({first.identity(), second.identity(), mt.MLflow("models:/m/1").identity()}) == 3
