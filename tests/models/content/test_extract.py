"""Extract with the packaged model, and with endpoints that give no log-probabilities, or nonsense."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from motet.apply import Apply, Pick
from motet.batch import Batch, Codes, Ragged
from motet.column import Category, Column, Flag, Key, Number, Tags, Text, Time, Vector
from motet.data import Data
from motet.errors import GraphError, RunError
from motet.graph import Graph
from motet.llm import LLM
from motet.model import NOTHING
from motet.models.content.extract import Extract
from motet.models.content.fields import wanted
from motet.models.function import function
from motet.record import Entity, Event, Record, labels, outcome
from tests.llm.test_openai import chat, free_port, serving


class Mood(Record):
    mood: Category = labels("funny", "scary", "romantic")


class Other(Record):
    mood: Category = labels("funny", "scary", "sad")


class Facets(Record):
    mood: Category = labels("funny", "scary", "romantic")
    themes: Tags = labels("war", "family", "space")
    place: Category
    words: Tags
    summary: Text
    year: Number
    adult: Flag


class Film(Entity):
    film_id: Key
    plot: Text


class Told(Event):
    at: Time
    text: Text
    mood: Category = outcome()


@function(Category)
def usual(texts: pa.Array) -> list[str]:
    return ["scary"] * len(texts)


LOCAL = LLM("smollm2-135m", parallel=4)
TEXTS = ["A comedy full of jokes.", "A horror film with a monster.", "A love story in Paris."]


def names(value: Codes) -> list[str | None]:
    return [value.names.tolist()[code] if code >= 0 else None for code in value.codes]


def test_labels_are_read_by_their_scores() -> None:
    read = Extract(LOCAL, Mood).read(TEXTS)
    assert names(read["mood"]) == ["funny", "scary", "romantic"]
    assert read.problems == (None, None, None)


def test_a_row_is_read_alike_whatever_is_read_with_it() -> None:
    extract = Extract(LOCAL, Mood)
    texts = [f"{text} Number {n}." for n in range(4) for text in TEXTS]
    together = names(extract.read(texts)["mood"])
    assert together == [names(extract.read([text])["mood"])[0] for text in texts]


def test_every_kind_of_field_is_filled() -> None:
    read = Extract(LOCAL, Facets).read([*TEXTS[:1], ""])
    assert list(read) == list(Facets.fields)
    assert isinstance(read["themes"], Ragged)
    assert isinstance(read["words"], Ragged)
    assert isinstance(read["place"], Codes)
    assert isinstance(read["summary"], pa.Array)
    assert all(len(value) == 2 for value in read.values())
    assert read["adult"].dtype == np.float64


def test_a_text_that_is_not_there_is_null_with_a_reason() -> None:
    read = Extract(LOCAL, Mood).apply(NOTHING, Batch({"text": pa.array([None, "  ", TEXTS[0]])}, rows=3))
    assert names(read["mood"]) == [None, None, "funny"]
    assert read.problems == ("there is no text", "there is no text", None)


def test_a_megabyte_is_cut() -> None:
    assert Extract(LOCAL, Mood).read(["monster " * 130_000]).problems == (None,)


def test_without_log_probabilities_labels_are_generated() -> None:
    def answer(request: dict, n: int):
        text = request["messages"][-1]["content"]
        mood = "funny" if "jokes" in text else "scary"
        return 200, {}, chat(json.dumps({"mood": mood}) if "monster" not in text else "I cannot say.")

    with serving(answer) as url:
        read = Extract(LLM("any", url=url), Mood).read(TEXTS)
    assert names(read["mood"]) == ["funny", None, "scary"]
    assert read.problems[1] is not None
    assert "not JSON" in read.problems[1]
    assert (read.problems[0], read.problems[2]) == (None, None)


def test_an_option_that_does_not_exist_is_no_answer() -> None:
    with serving(lambda request, n: (200, {}, chat('{"mood": "great"}'))) as url:
        read = Extract(LLM("any", url=url), Mood).read(TEXTS)
    assert names(read["mood"]) == [None] * 3
    assert read.problems == ("'mood' is none of its options",) * 3


def test_a_stopped_run_keeps_all_replies_but_those_on_their_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten texts, three at a time, the run is stopped in the third block."""
    read, blocks = Extract.apply, list[int]()

    def stopped(extract: Extract[Any], state: Any, batch: Batch) -> Any:
        blocks.append(batch.rows)
        if len(blocks) == 3:
            raise KeyboardInterrupt
        return read(extract, state, batch)

    monkeypatch.setattr(Extract, "apply", stopped)
    plots = Data({Film: [{"film_id": n, "plot": f"Plot {n}."} for n in range(10)]})
    with serving(lambda request, n: (200, {}, chat('{"mood": "funny"}'))) as url:
        mood = Extract(LLM("any", url=url, parallel=3), Mood)(Film.plot).mood
        fitted = Graph(mood=mood).fit(plots, store=tmp_path, quiet=True)
        with pytest.raises(KeyboardInterrupt):
            fitted.prepare()
        assert fitted.prepare().new == 10 - 2 * 3
    assert blocks == [3, 3, 3, 3, 1]


@pytest.mark.parametrize("seconds", [None, 2])
def test_an_endpoint_that_is_down_is_one_error(seconds: float | None) -> None:
    down = LLM("any", url=f"http://127.0.0.1:{free_port()}/v1", retries=0)
    batch = Batch({"text": pa.array(TEXTS * 50, pa.large_string())}, rows=150)
    with pytest.raises(RunError, match="does not answer"):
        Extract(down, Mood, seconds=seconds).apply(NOTHING, batch)


def test_where_an_endpoint_is_down_the_otherwise_answers(tmp_path: Path) -> None:
    down = LLM("any", url=f"http://127.0.0.1:{free_port()}/v1", retries=0)
    asked = Extract(down, Mood, seconds=2)(Told.text).mood
    said = [{"at": n, "text": "A joke.", "mood": "funny"} for n in range(3)]
    data = Data({Told: said})
    alone = Graph(mood=asked).fit(data, store=tmp_path, quiet=True)
    with pytest.raises(RunError, match="does not answer"):
        alone.ask(text="A love story.")
    helped = Graph(mood=asked.otherwise(usual(Told.text))).fit(data, store=tmp_path, quiet=True)
    assert helped.ask(text="A love story.") == {"mood": "scary"}


def slow(request: Any, n: int) -> Any:
    time.sleep(3)
    return 200, {}, chat('{"mood": "funny"}')


def test_with_a_deadline_what_is_slow_is_null_in_time_with_a_reason() -> None:
    """Also while labels are scored: an endpoint with log-probabilities is asked for them first."""
    batch = Batch({"text": pa.array(TEXTS, pa.large_string())}, rows=3)
    with serving(slow) as url:
        began = time.perf_counter()
        late = Extract(LLM("any", url=url, parallel=3), Mood, seconds=0.5).apply(NOTHING, batch)
        assert time.perf_counter() - began < 1.5
    assert names(late["mood"]) == [None] * 3
    assert late.problems == ("not there within 0.5 s",) * 3
    assert late.passing == (True,) * 3


def test_identity_follows_labels_and_model_but_no_deadline() -> None:
    same = Extract(LOCAL, Mood).identity()
    assert Extract(LOCAL, Mood, seconds=3).identity() == same
    assert Extract(LLM("smollm2-135m", parallel=2), Mood).identity() == same
    assert Extract(LOCAL, Other).identity() != same
    assert Extract(LLM("m", url="http://h/v1"), Mood).identity() != same
    assert Extract(LOCAL, Mood, tags_above=2.0).identity() != same


def test_what_no_text_can_fill_is_refused() -> None:
    class Odd(Record):
        place: Vector

    with pytest.raises(GraphError, match=r"Odd\.place"):
        Extract(LOCAL, Odd)
    assert [field.kind for field in wanted(Mood)] == [Category]
    assert issubclass(Category, Column)


def test_a_target_is_held_against_and_changes_nothing() -> None:
    extract = Extract(LOCAL, Mood, seconds=1)
    told = extract(Told.text, target=Told.mood).mood
    assert told.fingerprint == extract(Told.text).mood.fingerprint
    assert isinstance(told.node, Pick)
    assert isinstance(told.node.filled.node, Apply)
    assert told.node.filled.node.outcome == Told.mood
    assert not told.after


def test_a_target_of_two_categories_is_refused() -> None:
    with pytest.raises(GraphError, match="fills 2 categories, and has one target for them: mood, place"):
        Extract(LOCAL, Facets, seconds=1)(Told.text, target=Told.mood)
