"""What every model says of input that it cannot use: a sentence with what to change, never an error of its insides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import motet as mt
from motet.data import Data
from motet.errors import GraphError, MotetError
from motet.graph import Graph
from tests.contract.test_models import ASKS, FEATURES, GRAPHS, Film, Viewer, Visit, rows, seen

LLM = mt.LLM("any", url="http://127.0.0.1:9/v1")


models: Any = mt  # what a type checker would refuse is given on purpose


class Mood(mt.Record):
    mood: mt.Category = mt.labels("glad", "sad")


def found() -> Any:
    return mt.retrieve(Film, k=3, by=[mt.Popular()(Visit.film)])


def one_row(tables: dict[Any, Any]) -> None:
    tables[Visit] = tables[Visit][:1]


def one_class(tables: dict[Any, Any]) -> None:
    for visit in tables[Visit]:
        visit |= {"liked": True, "minutes": 1.0, "asked_for": "sea"}


def no_outcome(tables: dict[Any, Any]) -> None:
    for visit in tables[Visit]:
        visit |= {"liked": None, "minutes": None, "asked_for": None}


LEARNING = ("dcn", "lightgbm", "regression", "logistic", "classify", "scikit", "torch, trained")


@pytest.mark.parametrize("change", [one_row, one_class, no_outcome])
@pytest.mark.parametrize("name", GRAPHS)
def test_too_little_to_learn_from_is_answered_or_refused_with_what_to_change(
    name: str, change: Callable[[dict[Any, Any]], None], tmp_path: Path
) -> None:
    tables = rows()
    change(tables)
    refused: MotetError | None = None
    try:
        fitted = Graph(out=GRAPHS[name]()).fit(Data(tables), store=tmp_path, quiet=True)
        assert len(fitted.ask_many(ASKS)) == len(ASKS)
    except MotetError as error:
        refused = error
    assert refused or not name.startswith(LEARNING) or "of candidates" in name
    assert refused is None or (refused.help and " failed: " not in str(refused))


READS = ("dcn", "lightgbm", "regression", "logistic", "classify by vectors", "scikit classifier", "torch, trained")


@pytest.mark.parametrize("name", READS)
def test_a_category_that_was_not_there_at_the_fit_is_answered_as_a_missing_one(name: str, tmp_path: Path) -> None:
    tables = rows()
    fitted = Graph(out=GRAPHS[name]()).fit(Data(tables), store=tmp_path, quiet=True)
    aged = {"age": 30.0}
    tables[Viewer] += [{"viewer_id": f"n{i}", "country": f"new{i}", **aged} for i in range(50)]
    tables[Viewer].append({"viewer_id": "none", "country": None, **aged})
    fitted.prepare(Data(tables))
    ask = {"query": "sea", "at": 3600.0 * 300}
    new, missing = fitted.ask_many([{"viewer": "n7", **ask}, {"viewer": "none", **ask}])
    assert new == missing


def picture(title: Any) -> Any:
    return mt.Draw(LLM, "A poster for {title}")(title=title)


WRONG: dict[str, Callable[[], Any]] = {
    "als of a text": lambda: models.ALS()(Visit.query, Film),
    "als of other items": lambda: models.ALS()(seen, Viewer),
    "als of an event": lambda: models.ALS()(seen, Visit),
    "ease of a text": lambda: models.EASE()(Visit.query, Film),
    "item_knn of a text": lambda: models.ItemKNN()(Visit.query, Film),
    "two_tower of a text": lambda: models.TwoTower()(Visit.query, Film),
    "sasrec of a number": lambda: models.SASRec()(seen.count(), Film),
    "sasrec with a text as content": lambda: models.SASRec()(seen, Film, content=Film.title),
    "hstu of a text": lambda: models.HSTU()(Visit.query, Film),
    "hstu with a number as content": lambda: models.HSTU()(seen, Film, content=Film.year),
    "two_tower with content of another entity": lambda: models.TwoTower()(
        seen, Film, content=models.Embed()(Viewer.country)
    ),
    "popular of a text": lambda: models.Popular()(Visit.query),
    "logistic of a text": lambda: models.Logistic()(Visit.query, target=Visit.liked),
    "logistic of a time": lambda: models.Logistic()(Visit.at, target=Visit.liked),
    "logistic of a history": lambda: models.Logistic()(seen, target=Visit.liked),
    "logistic to a number": lambda: models.Logistic()(*FEATURES, target=Visit.minutes),
    "lightgbm of a text": lambda: models.LightGBM()(Visit.query, target=Visit.liked),
    "lightgbm of a reference": lambda: models.LightGBM()(Visit.viewer, target=Visit.liked),
    "dcn of a text": lambda: models.DCN()(Visit.query, target=Visit.liked),
    "dcn to a category": lambda: models.DCN()(*FEATURES, target=Visit.asked_for),
    "classify of a time": lambda: models.Classify()(Visit.at, target=Visit.asked_for),
    "classify to a number": lambda: models.Classify()(Visit.query, target=Visit.minutes),
    "bm25 of a number": lambda: models.BM25()(Film.year, Visit.query),
    "tfidf of a number": lambda: models.TFIDF()(Film.year),
    "embed of a number": lambda: models.Embed()(Film.year),
    "embed_image of a text": lambda: models.EmbedImage()(Film.title),
    "classify_image of a text": lambda: models.ClassifyImage()(Film.title),
    "extract of a number": lambda: models.Extract(LLM, Mood, seconds=1)(Film.year),
    "few_shot of a number": lambda: models.FewShot(LLM, seconds=1)(
        Visit.minutes, near=FEATURES[3], target=Visit.asked_for
    ),
    "rerank by a number": lambda: models.Rerank(LLM)(found(), Visit.query, Film.year),
    "rerank of no candidates": lambda: models.Rerank(LLM)(Visit.query, Visit.query, Film.title),
    "write about no candidates": lambda: models.Write(LLM, "{query}")(query=Visit.query),
    "draw of a history": lambda: picture(seen),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_column_that_a_model_cannot_read_is_refused_where_it_is_given(wrong: Callable[[], Any]) -> None:
    with pytest.raises(GraphError) as refused:
        wrong()
    assert refused.value.help
