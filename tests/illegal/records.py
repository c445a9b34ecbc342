"""The sound declarations that the illegal graphs start from."""

import motet as mt

__all__ = [
    "Click",
    "Facets",
    "Film",
    "Viewer",
    "Visit",
    "embed",
    "found",
    "llm",
    "meaning",
    "mt",
    "popular",
    "words",
]


class Film(mt.Entity):
    film_id: mt.Key
    title: mt.Text
    plot: mt.Text
    year: mt.Number


class Viewer(mt.Entity):
    viewer_id: mt.Key
    age: mt.Number


class Visit(mt.Event):
    viewer: Viewer
    at: mt.Time
    query: mt.Text = mt.default("")
    film: Film = mt.outcome()
    rating: mt.Number = mt.outcome(after="7d")


class Click(mt.Event):
    viewer: Viewer
    at: mt.Time
    useful: mt.Flag = mt.outcome()


class Facets(mt.Record):
    mood: mt.Category = mt.labels("tense", "funny")


llm, embed = mt.LLM("smollm2-135m"), mt.Embed("minilm-l6")
words = Film.title + ". " + Film.plot
meaning = embed(words)
popular = mt.Popular()(Visit.film)
found = mt.retrieve(Film, k=200, by=[meaning @ embed(Visit.query)])
