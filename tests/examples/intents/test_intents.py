"""The intents end to end: small classifiers know what a customer wants, and the labels are those of the data."""

from pathlib import Path

import numpy as np
import pytest

import motet as mt
from examples.intents.graph import TESTED_FROM as AT
from examples.intents.graph import Query, Review, data, reviews, ways_of_intents, ways_of_moods
from examples.intents.labels import INTENTS, MOODS
from examples.intents.report import first
from motet.batch import Codes
from tests.shop import stored

LEARNT_FROM, TESTED = 3_000, 500


def part(whole: mt.Data) -> tuple[mt.Data, mt.Data]:
    """A part of the training part, so that the test is quick, and of the test part."""
    train, test = whole.split(at=AT)
    return first(train, LEARNT_FROM), first(test, TESTED)


@pytest.fixture(scope="module")
def queries(data_dir: Path) -> mt.Data:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTET_DATA", str(data_dir))
        return data()


@pytest.fixture(scope="module")
def sentences(data_dir: Path) -> mt.Data:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTET_DATA", str(data_dir))
        return reviews()


def test_the_parts_are_those_that_are_published(queries: mt.Data, sentences: mt.Data) -> None:
    sizes = [len(each.asked[Query]) for each in queries.split(at=AT)]
    assert sizes == [10_003, 3_080]
    sizes = [len(each.asked[Review]) for each in sentences.split(at=AT)]
    assert sizes == [6_920, 1_821]


def test_the_declared_labels_are_those_of_the_data(queries: mt.Data, sentences: mt.Data) -> None:
    intents, moods = stored(queries, Query, "intent"), stored(sentences, Review, "mood")
    assert isinstance(intents, Codes)
    assert isinstance(moods, Codes)
    assert sorted(intents.names.tolist()) == sorted(INTENTS)
    assert sorted(moods.names.tolist()) == sorted(MOODS)


def test_what_a_customer_wants_is_found_by_words_and_better_by_meaning(queries: mt.Data, tmp_path: Path) -> None:
    train, test = part(queries)
    found = [ways_of_intents[way].fit(train, store=tmp_path, quiet=True).evaluate(test) for way in ("words", "meaning")]
    words, meaning = (each.figure("label", "accuracy") for each in found)
    assert words.low is not None
    assert words.low > 0.7, "a guess is right in 1 of 77"
    assert meaning.low is not None
    assert meaning.low > 0.8
    assert found[0].problems == found[1].problems == {}


def test_confidence_says_where_the_label_is_right(queries: mt.Data, tmp_path: Path) -> None:
    train, test = part(queries)
    fitted = ways_of_intents["words"].fit(train, store=tmp_path, quiet=True)
    context = fitted.context(test)
    asked = context.batch(Query, test.asked[Query])
    label, sure = (asked.value(fitted.outline.outputs[name]) for name in ("label", "confidence"))
    came: Codes = asked.value(Query.intent)
    right = label.coded_by(came.names) == came.codes
    unsure = sure < np.median(sure)
    assert right[~unsure].mean() > right[unsure].mean() + 0.15


def test_moods_are_found_by_words(sentences: mt.Data, tmp_path: Path) -> None:
    train, test = part(sentences)
    accuracy = ways_of_moods["words"].fit(train, store=tmp_path, quiet=True).evaluate(test).figure("label", "accuracy")
    assert accuracy.low is not None
    assert accuracy.low > 0.65
