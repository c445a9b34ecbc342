"""A published graph as a model of MLflow; skipped where it is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from motet import loading
from motet.errors import RunError

pyfunc = pytest.importorskip("mlflow.pyfunc", reason='needs MLflow: pip install "motet[mlflow]"')
pandas = pytest.importorskip("pandas")

import motet.mlflow  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # what MLflow itself warns of is no fault of a model here
GRAPH = """
import motet as mt
from goods import Item


class Buyer(mt.Entity):
    buyer_id: mt.Key


class Purchase(mt.Event):
    buyer: Buyer
    at: mt.Time
    said: mt.Text = mt.default("")
    amount: mt.Number
    item: Item = mt.outcome()
    liked: mt.Flag = mt.outcome()


recent = mt.past(Purchase.amount, by=Purchase.buyer, last=3)
shop = mt.Graph(
    likes=mt.LightGBM(trees=5, min_rows=2)(recent.mean(), Purchase.amount, target=Purchase.liked),
    top=mt.retrieve(Item, k=2, by=[mt.ItemKNN(k=3)(mt.past(Purchase.item, by=Purchase.buyer), Item)]),
    said=Purchase.said,
    spent=recent.sum(),
)


def data():
    rows = [dict(buyer=f"b{i % 5}", at=60 * i, amount=i % 7, item=i % 4, liked=i % 7 > 3) for i in range(80)]
    items = [dict(item_id=i, name=f"item {i}") for i in range(4)]
    return mt.Data({Item: items, Buyer: [dict(buyer_id=f"b{i}") for i in range(5)], Purchase: rows})
"""
GOODS = """
import motet as mt


class Item(mt.Entity):
    item_id: mt.Key
    name: mt.Text
"""
LOAD = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlflow.pyfunc, pandas
made = mlflow.pyfunc.load_model(sys.argv[1]).predict(pandas.DataFrame(json.loads(sys.argv[2])))
print(made.to_json(orient="records"))
"""
ASKS: list[dict[str, Any]] = [
    {"buyer": "b1", "amount": 6.0, "said": "hello", "at": "2001-02-03T04:05:06Z"},
    {"buyer": "nobody", "amount": None, "said": None, "at": "2001-02-03T04:05:06Z"},
]


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop_in_mlflow.py").write_text(GRAPH)
    (tmp_path / "goods.py").write_text(GOODS)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return "shop_in_mlflow.py:shop"


def test_mlflow_answers_what_the_graph_answers_wherever_it_is_loaded(target: str, tmp_path: Path) -> None:
    fitted = loading.graph(target).fit(loading.needed(target), store="kept", quiet=True)
    fitted.prepare(name="shop")
    motet.mlflow.save(target, "model", store="kept", code=["goods.py"], pip_requirements=[])
    for gone in ("shop_in_mlflow.py", "goods.py"):
        (tmp_path / gone).unlink()
    (tmp_path / "kept").rename(tmp_path / "elsewhere")
    script = tmp_path / "elsewhere" / "load.py"
    script.write_text(LOAD)
    shown = [sys.executable, str(script), str(tmp_path / "model"), json.dumps(ASKS)]
    ran = subprocess.run(shown, capture_output=True, text=True, timeout=120, cwd=script.parent)
    assert ran.returncode == 0, ran.stderr
    right = fitted.ask_many([ASKS[0], {**ASKS[1], "said": ""}])
    found = json.loads(ran.stdout.strip().splitlines()[-1])
    assert [row["said"] for row in found] == ["hello", ""]
    for got, wanted in zip(found, right, strict=True):
        assert got["likes"] == pytest.approx(wanted["likes"])
        assert got["spent"] == pytest.approx(wanted["spent"])
        assert [item["name"] for item in got["top"]] == [item["name"] for item in wanted["top"]]


def test_what_is_not_published_is_not_saved(target: str) -> None:
    loading.graph(target).fit(loading.needed(target), store="kept", quiet=True)
    with pytest.raises(RunError, match="nothing is published as 'shop'"):
        motet.mlflow.save(target, "model", store="kept")
    assert not Path("model").exists()


def test_a_frame_without_a_needed_column_is_refused_by_its_signature(target: str) -> None:
    fitted = loading.graph(target).fit(loading.needed(target), store="kept", quiet=True)
    fitted.prepare(name="shop")
    motet.mlflow.save(target, "model", store="kept", code=["goods.py"], pip_requirements=[])
    loaded = pyfunc.load_model("model")
    with pytest.raises(Exception, match="amount"):
        loaded.predict(pandas.DataFrame({"buyer": ["b1"]}))
    made = loaded.predict(pandas.DataFrame({"buyer": ["b1"], "amount": [2.0]}, index=[7]))
    assert list(made.index) == [7]
    assert list(made.columns) == list(fitted.outline.answered)
