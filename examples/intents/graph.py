"""What a customer of an online bank wants, and whether a reviewer liked a film: small models against a language model.

Banking77 (Casanueva et al. 2020) has no times and the Stanford Sentiment Treebank (Socher et al. 2013) has none either:
theirs are made up, the test part after the training part, and the order within each is drawn.
"""

import os
from pathlib import Path

import polars as pl

import motet as mt
from examples.intents.labels import INTENTS, MOODS


class Query(mt.Event):
    at: mt.Time
    text: mt.Text
    intent: mt.Category = mt.outcome()


class Review(mt.Event):
    at: mt.Time
    text: mt.Text
    mood: mt.Category = mt.outcome()


class Intent(mt.Record):
    intent: mt.Category = mt.labels(*INTENTS)


class Mood(mt.Record):
    mood: mt.Category = mt.labels(*MOODS)


PATIENCE = 30  # seconds that a language model may take for one text
TESTED_FROM = "2021-01-01"

embed, llm = mt.Embed("minilm-l6"), mt.LLM("smollm2-135m")


def ways(text: mt.Text, target: mt.Category, record: type[Intent] | type[Mood]) -> dict[str, mt.Graph]:
    """The alternatives for one label, cheapest first."""
    by_words = mt.Classify()(text, target=target)
    by_meaning = mt.Classify()(embed(text), target=target)
    by_both = mt.Classify()(text, embed(text), target=target)
    asked = mt.Extract(llm, record, seconds=PATIENCE)(text, target=target)
    shown = mt.FewShot(llm, seconds=PATIENCE)(text, near=embed(text), target=target)
    (name,) = record.fields
    return {
        "words": mt.Graph(label=by_words.label, confidence=by_words.confidence),
        "meaning": mt.Graph(label=by_meaning.label, confidence=by_meaning.confidence),
        "words and meaning": mt.Graph(label=by_both.label, confidence=by_both.confidence),
        "smollm2, zero-shot": mt.Graph(label=getattr(asked, name)),
        "smollm2, 8 shots": mt.Graph(label=shown.label, confidence=shown.confidence),
    }


ways_of_intents = ways(Query.text, Query.intent, Intent)
ways_of_moods = ways(Review.text, Review.mood, Mood)

by_words = mt.Classify()(Query.text, target=Query.intent)
by_meaning = mt.Classify()(embed(Query.text), target=Query.intent)

intents = mt.Graph(intent=by_meaning.label.otherwise(by_words.label), confidence=by_meaning.confidence)


def data() -> mt.Data:
    """Asks all queries to the bank; those of the test part begin at TESTED_FROM."""
    rows = _rows("banking77").with_columns(pl.col("label").str.replace_all("_", " "))
    return mt.Data({Query: mt.read(rows, intent="label")})


def reviews() -> mt.Data:
    """Asks all sentences of film reviews; those of the test part begin at TESTED_FROM."""
    rows = _rows("sst2").with_columns(
        pl.when(pl.col("label") == 1).then(pl.lit(MOODS[1])).otherwise(pl.lit(MOODS[0])).alias("label")
    )
    return mt.Data({Review: mt.read(rows, mood="label")})


def _rows(name: str) -> pl.DataFrame:
    """The texts of a data set, a minute apart, shuffled within the training and the test part."""
    folder = os.environ.get("MOTET_DATA")
    if not folder:
        raise mt.DataError(f"{name} does not come with Motet", help="MOTET_DATA=FOLDER motet fit ...")
    rows = pl.read_parquet(Path(folder) / name / f"{name}.parquet").sample(fraction=1, shuffle=True, seed=0)
    train, test = (rows.filter(pl.col("split") == part) for part in ("train", "test"))
    return pl.concat([_dated(train, "2020-01-01"), _dated(test, TESTED_FROM)])


def _dated(rows: pl.DataFrame, begin: str) -> pl.DataFrame:
    minutes = pl.duration(minutes=pl.int_range(pl.len()))
    return rows.with_columns((pl.lit(begin).str.to_datetime() + minutes).alias("at"))
