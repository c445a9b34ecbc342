"""What every model must do inside a graph: fit, be measured, be kept, answer the same wherever it is read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge

from motet import loading
from motet.candidates import retrieve
from motet.column import Category, Column, Flag, Key, Number, Tags, Text, Time
from motet.data import Data
from motet.fitted import Fitted, published
from motet.graph import Graph
from motet.models.behavior.als import ALS
from motet.models.behavior.dcn import DCN
from motet.models.behavior.ease import EASE
from motet.models.behavior.hstu import HSTU
from motet.models.behavior.item_knn import ItemKNN
from motet.models.behavior.lightgbm import LightGBM
from motet.models.behavior.logistic import Logistic
from motet.models.behavior.popular import Popular
from motet.models.behavior.sasrec import SASRec
from motet.models.behavior.scikit import Sklearn
from motet.models.behavior.two_tower import TwoTower
from motet.models.content.bm25 import BM25
from motet.models.content.classify import Classify
from motet.models.content.embed import Embed
from motet.models.content.tfidf import TFIDF
from motet.models.function import function
from motet.models.onnx import ONNX
from motet.models.torch import Torch
from motet.node import upstream
from motet.past import past
from motet.record import Entity, Event, outcome


class Film(Entity):
    film_id: Key
    title: Text
    year: Number
    genres: Tags


class Viewer(Entity):
    viewer_id: Key
    age: Number
    country: Category


class Visit(Event):
    viewer: Viewer
    at: Time
    query: Text = ""  # pyright: ignore
    film: Film = outcome()
    liked: Flag = outcome()
    minutes: Number = outcome()
    asked_for: Category = outcome()


@function(Number)
def decade(year: Any) -> Any:
    return year // 10


seen = past(Visit.film, by=Visit.viewer)
tfidf = TFIDF(dim=8)
FEATURES = (Visit.viewer.age, Visit.viewer.country, seen.count(), tfidf(Visit.query, learnt_from=Film.title))


dcn = DCN(dim=4, cross=1, hidden=(8,), epochs=4)


def ranked(score: Column) -> Column:
    return retrieve(Film, k=5, by=[score], exclude=seen)  # pyright: ignore


def stacked(objective: Any) -> Column:
    found = retrieve(Film, k=8, by=[ALS(dim=4)(seen, Film), Popular()(Visit.film)])
    features = (Film.year, Film.genres, Visit.viewer.age, Popular()(Visit.film))
    return LightGBM(objective, trees=10, min_rows=3)(found, *features, target=Visit.liked).top(3)


def _net(layers: int) -> Any:
    """A module of torch; of two layers it reads all FEATURES, and gives a probability."""
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if layers == 1:
            return torch.nn.Linear(2, 1)
        return torch.nn.Sequential(torch.nn.Linear(13, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1), torch.nn.Sigmoid())


def _doubled() -> Path:
    """An ONNX file: one number in, twice as much out."""
    path = Path(tempfile.mkdtemp()) / "doubled.onnx"
    given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubled", [given], [made])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def _trained(module: Any, inputs: Any, target: Any) -> None:
    torch = pytest.importorskip("torch")
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(20):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy(module(*inputs)[:, 0], target).backward()
        optimiser.step()


GRAPHS: dict[str, Callable[[], Column]] = {
    "als": lambda: ranked(ALS(dim=4)(seen, Film)),
    "ease": lambda: ranked(EASE(l2=5)(seen, Film)),
    "two_tower": lambda: ranked(TwoTower(dim=4, length=6, epochs=2)(seen, Film)),
    "hstu": lambda: ranked(HSTU(dim=4, blocks=1, length=6, epochs=2)(seen, Film, content=tfidf(Film.title))),
    "sasrec": lambda: ranked(SASRec(dim=4, blocks=1, length=6, epochs=2)(seen, Film)),
    "item_knn": lambda: ranked(ItemKNN(k=5, shrinkage=1)(seen, Film)),
    "popular within": lambda: ranked(Popular(within="3d")(Visit.film)),
    "popular": lambda: ranked(Popular(half_life_days=2)(Visit.film)),
    "bm25": lambda: ranked(BM25()(Film.title, Visit.query)),
    "tfidf": lambda: ranked(tfidf(Film.title) @ tfidf(Visit.query, learnt_from=Film.title)),
    "embed": lambda: ranked(Embed("wordllama")(Film.title) @ Embed("wordllama")(Visit.query)),
    "onnx": lambda: Logistic()(ONNX(_doubled())(x=Visit.viewer.age), target=Visit.liked),
    "function": lambda: ranked(decade(Film.year)),
    "lambdarank": lambda: stacked("lambdarank"),
    "dcn": lambda: dcn(*FEATURES, Visit.viewer, seen, target=Visit.liked),
    "dcn of candidates": lambda: dcn(
        retrieve(Film, k=8, by=[Popular()(Visit.film)], exclude=past(Visit.film, by=Visit.viewer, last=2)),
        Film.genres,
        Film.year,
        seen,
        target=Visit.liked,
    ).top(3),
    "candidates by probability": lambda: stacked("binary"),
    "lightgbm": lambda: LightGBM(trees=10, min_rows=3)(*FEATURES, target=Visit.liked),
    "regression": lambda: LightGBM("regression", trees=10, min_rows=3)(*FEATURES, target=Visit.minutes),
    "logistic": lambda: Logistic()(*FEATURES, target=Visit.liked),
    "classify a text": lambda: Classify()(Visit.query, target=Visit.asked_for).label,
    "classify by vectors": lambda: Classify()(*FEATURES, target=Visit.asked_for).label,
    "scikit classifier": lambda: Sklearn(RandomForestClassifier(10))(*FEATURES, target=Visit.liked),
    "torch": lambda: Torch(_net(1))(Visit.viewer.age, seen.count(), target=Visit.minutes),
    "torch, trained": lambda: Torch(_net(2), train=_trained)(*FEATURES, target=Visit.liked),
    "scikit regressor": lambda: Sklearn(Ridge())(*FEATURES, target=Visit.minutes),
}
APART = {
    "Draw": "a late value, drawn by an endpoint: tests/models/content/test_draw.py",
    "EmbedImage": "reads pictures: tests/models/content/test_vision.py",
    "ClassifyImage": "reads pictures: tests/models/content/test_vision.py",
    "Extract": "a language model reads each text: tests/models/content/test_extract.py",
    "FewShot": "a language model reads each text: tests/models/content/test_shots.py",
    "Rerank": "a language model reads each candidate: tests/models/content/test_rerank.py",
    "Write": "a late value, written by a language model: tests/models/content/test_write.py",
    "Dialogue": "reads conversations: tests/models/content/test_dialogue.py",
    "Pool": "reads a list: tests/models/content/test_pool.py",
    "Template": "a text about candidates: tests/models/content/test_template.py",
    "Endpoint": "another server's model: tests/models/test_endpoint.py",
    "MLflow": "where MLflow is installed: tests/models/test_mlflow.py",
}
"""Models whose rows another process makes or that read no such table as this, and where the same is asked of them."""


def test_every_model_is_held_to_the_contract_or_has_a_reason() -> None:
    nodes: list[Any] = [column.node for make in GRAPHS.values() for column in upstream((make(),))]
    nodes += [fit for node in nodes for fit in node.fits]
    made = {type(node.model).__name__ for node in nodes if hasattr(node, "model")}
    assert {row["model"] for row in loading.models()} - made == set(APART)


ASKS: list[dict[str, Any]] = [
    {"viewer": "v0", "query": "sea 4", "at": 3600.0 * 300},
    {"viewer": "v1", "query": "town", "at": 3600.0 * 300},
    {"viewer": "nobody yet", "at": 3600.0 * 300},
    {"viewer": "v2", "query": "жизнь 海の上", "at": 3600.0 * 300},
]


def rows(viewers: int = 20, films: int = 16, each: int = 12) -> dict[Any, list[dict[str, Any]]]:
    """Even viewers like films of the sea, odd ones films of the town; some values are missing."""
    draw = np.random.default_rng(0)
    visits: list[dict[str, Any]] = []
    for i in range(viewers * each):
        viewer = i % viewers
        own = draw.random() < 0.8
        film = int(draw.integers(0, films // 2)) * 2 + (viewer % 2 if own else 1 - viewer % 2)
        made = {
            "viewer": f"v{viewer}",
            "at": 3600.0 * i,
            "film": film,
            "liked": own,
            "minutes": 90.0 * own + i % 7,
        }
        query = ["sea", "town", ""][i % 3]
        visits.append({**made, "query": query, "asked_for": None if i % 7 == 0 else query or "anything"})
    kinds = ["sea", "town"]
    return {
        Film: [
            {
                "film_id": f,
                "title": None if f == 3 else f"{kinds[f % 2]} {f}",
                "year": None if f == 4 else 1980 + f,
                "genres": [kinds[f % 2]] if f else [],
            }
            for f in range(films)
        ],
        Viewer: [
            {
                "viewer_id": f"v{v}",
                "age": None if v == 5 else 20 + v,
                "country": None if v == 6 else f"c{v % 3}",
            }
            for v in range(viewers)
        ],
        Visit: visits,
    }


@pytest.fixture(scope="module")
def parts() -> tuple[Data, Data]:
    return Data(rows()).split(at=190 * 3_600_000_000)


@pytest.fixture(scope="module", params=GRAPHS)
def fitted(request: pytest.FixtureRequest, parts: tuple[Data, Data], tmp_path_factory: Any) -> Fitted:
    graph = Graph(out=GRAPHS[request.param]())
    return graph.fit(parts[0], store=tmp_path_factory.mktemp("store"), quiet=True)


def test_it_is_measured(fitted: Fitted, parts: tuple[Data, Data]) -> None:
    measured = fitted.evaluate(parts[1])
    assert measured.n == 50
    assert measured.figures
    assert all(f.estimate.value is not None for f in measured.figures if f.slice != "cold")


def answers(fitted: Fitted) -> list[Any]:
    return fitted.ask_many(ASKS)


def close(first: Any, second: Any) -> bool:
    """Equal, but for the last bits of numbers."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(close(first[k], second[k]) for k in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(close, first, second))
    return first == second or (isinstance(first, float) and abs(first - second) < 1e-6)


def test_an_ask_alone_is_answered_as_among_others(fitted: Fitted) -> None:
    assert close([fitted.ask(**ask) for ask in ASKS], answers(fitted))


def test_a_prepared_version_answers_the_same(fitted: Fitted) -> None:
    before = answers(fitted)
    fitted.prepare(name="kept")
    assert answers(fitted) == before
    again = published(fitted.outline, name="kept", store=fitted.store.root, quiet=True)
    assert answers(again) == before


def test_the_same_seed_answers_the_same(fitted: Fitted, parts: tuple[Data, Data], tmp_path: Path) -> None:
    again = Graph(**fitted.outline.outputs).fit(parts[0], store=tmp_path, quiet=True)
    assert answers(again) == answers(fitted)


def test_a_new_film_needs_no_new_fit(fitted: Fitted) -> None:
    tables = rows()
    tables[Film].insert(0, {"film_id": 99, "title": "sea 99 brand new", "year": 2026, "genres": ["sea", "new"]})
    changed = Data(tables).split(at=190 * 3_600_000_000)[0]
    before = answers(fitted)
    fitted.prepare(changed, name="changed")
    after = answers(fitted)
    assert [type(a["out"]) for a in after] == [type(a["out"]) for a in before]
    if isinstance(before[0]["out"], float):
        assert close(after, before)
    if "BM25" in str(fitted.outline.outputs["out"]):
        assert fitted.ask(viewer="v0", query="brand", at=3600.0 * 300)["out"][0]["film_id"] == 99
