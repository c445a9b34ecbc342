"""FewShot with the packaged model, and with an endpoint that gives no log-probabilities."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from motet.batch import Batch, Codes
from motet.column import Category, Number, Text, Time, Vector
from motet.errors import GraphError, RunError
from motet.llm import LLM
from motet.model import State
from motet.models.content.extract import Read
from motet.models.content.shots import FewShot
from motet.record import Event, outcome
from tests.llm.test_openai import chat, serving
from tests.models.planted import categories, same, stored, texts

LOCAL = LLM("smollm2-135m", parallel=4)
SAID = ["It was wonderful.", "I loved it.", "It was awful.", "I hated it.", "The sea is blue."]
MOODS = ["good", "good", "bad", "bad", None]
PLACES = np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0.1, 0.9, 0], [0, 0, 1]], np.float32)


class Told(Event):
    at: Time
    text: Text
    near: Vector
    mood: Category = outcome()


def fitted(model: FewShot) -> State:
    return stored(model.fit(Batch({"text": texts(*SAID), "near": PLACES}, rows=5), categories(*MOODS)))


def read(model: FewShot, *asked: str | None, near: tuple[float, float] = (0.5, 0.5)) -> Read:
    places = np.tile(np.array([*near, 0], np.float32), (len(asked), 1))
    return model.apply(fitted(model), Batch({"text": texts(*asked), "near": places}, rows=len(asked)))


def names(value: Codes) -> list[str | None]:
    return [value.names.tolist()[code] if code >= 0 else None for code in value.codes]


def test_it_chooses_among_the_labels_that_it_is_shown() -> None:
    found = read(FewShot(LOCAL, shots=4), "I loved every minute, wonderful.", "I hated every minute, awful.", None)
    assert names(found["label"]) == ["good", "bad", None]
    assert (found["confidence"][:2] > 0.5).all()
    assert np.isnan(found["confidence"][2])
    assert found.problems == (None, None, "there is no text")


def test_the_nearest_texts_that_have_a_label_are_shown_the_nearest_last() -> None:
    seen = list[str]()

    def answer(request: dict[str, Any], n: int) -> Any:
        seen.append(request["messages"][-1]["content"])
        return 200, {}, chat(json.dumps({"label": "bad"}))

    with serving(answer) as url:
        found = read(FewShot(LLM("any", url=url), shots=3), "So so.", near=(0.8, 0.6))
    shown = [SAID.index(line.removeprefix("Text: ")) for line in seen[-1].splitlines() if line[6:] in SAID]
    assert shown == [3, 1, 0], "by similarity 0.62, 0.78 and 0.8"
    assert names(found["label"]) == ["bad"]
    assert np.isnan(found["confidence"][0]), "an endpoint without probabilities is not sure of anything"


def test_where_all_that_is_shown_has_one_label_nothing_is_asked() -> None:
    nowhere = LLM("any", url="http://127.0.0.1:9/v1", retries=0)
    found = read(FewShot(nowhere, shots=2), "Fine.", near=(1.0, 0.0))
    assert names(found["label"]) == ["good"]
    assert found["confidence"].tolist() == [1.0]


def test_what_is_slow_is_null_in_time_with_a_reason() -> None:
    def slow(request: Any, n: int) -> Any:
        time.sleep(3)
        return 200, {}, chat('{"label": "good"}')

    with serving(slow) as url:
        began = time.perf_counter()
        late = read(FewShot(LLM("any", url=url, parallel=2), seconds=0.5), "So so.", "Well.")
        assert time.perf_counter() - began < 2
    assert names(late["label"]) == [None, None]
    assert late.problems == ("not there within 0.5 s",) * 2
    assert late.passing == (True, True)


@pytest.mark.parametrize("seconds", [None, 2])
def test_where_nobody_answers_there_is_one_error_with_a_deadline_too(seconds: float | None) -> None:
    away = LLM("any", url="http://127.0.0.1:9/v1", retries=0)
    with pytest.raises(RunError, match="does not answer"):
        read(FewShot(away, seconds=seconds), "So so.")


def test_rows_without_a_label_teach_nothing() -> None:
    model = FewShot(LOCAL)
    assert same(fitted(model), fitted(model))
    assert fitted(model)["texts"] == SAID[:4]
    with pytest.raises(RunError, match="none of 1 has a label"):
        model.fit(Batch({"text": texts("Fine."), "near": PLACES[:1]}, rows=1), categories(None))


def test_it_is_a_record_of_columns_and_has_a_deadline_while_an_event_waits() -> None:
    found = FewShot(LOCAL, seconds=1)(Told.text, near=Told.near, target=Told.mood)
    assert isinstance(found.label, Category)
    assert isinstance(found.confidence, Number)
    with pytest.raises(GraphError, match="has no deadline"):
        FewShot(LOCAL)(Told.text, near=Told.near, target=Told.mood)
    with pytest.raises(GraphError, match="shots is a whole number from 1 up"):
        FewShot(LOCAL, shots=0)
    assert FewShot(LOCAL, seconds=1).identity() == FewShot(LOCAL).identity()
    assert FewShot(LOCAL, shots=2).identity() != FewShot(LOCAL).identity()
