"""Hybrid recommendation and search of films: what people did, what films say, and a language model."""

import motet as mt
from examples.films.download import films_folder


class Film(mt.Entity):
    film_id: mt.Key
    title: mt.Text
    genres: mt.Tags
    year: mt.Number


class Viewer(mt.Entity):
    viewer_id: mt.Key
    age: mt.Number
    gender: mt.Category


class Visit(mt.Event):  # known when the viewer asks ...
    viewer: Viewer
    at: mt.Time
    query: mt.Text = mt.default("")
    film: Film = mt.outcome()  # ... and known afterwards
    rating: mt.Number = mt.outcome()


class Facets(mt.Record):  # what a language model reads out of a film
    mood: mt.Category = mt.labels("funny", "romantic", "scary", "exciting", "sad", "thoughtful")


llm, embed = mt.LLM("smollm2-135m"), mt.Embed("minilm-l6")

words = Film.title + ". " + Film.genres.text()  # per Film
meaning = embed(words).otherwise(None)  # per Film: once
facets = mt.Extract(llm, Facets)(words)  # per Film: once
mood = facets.mood.otherwise(None)

seen = mt.past(Visit.film, by=Visit.viewer)
popular = mt.Popular()(Visit.film)
taste = mt.SASRec(dim=64, epochs=25)(mt.past(Visit.film, by=Visit.viewer, last=50), Film, content=meaning)
asked = meaning @ embed(Visit.query)
named = mt.BM25()(words, Visit.query)
found = mt.retrieve(Film, k=200, by=[taste, asked, named], exclude=seen).otherwise(popular)
score = mt.LightGBM("lambdarank")(
    found, taste, popular, asked, named, Film.year, mood, seen.count(), target=Visit.rating >= 4
).otherwise(found)
top = score.top(10)
facts = mt.Template()(score.top(3))
reply = mt.Write(llm, "Answer {query} using only {films}.")(query=Visit.query, films=score.top(3)).within(
    seconds=8, otherwise=facts
)

films = mt.Graph(top=top, found=found.top(100), reply=reply)


def data() -> mt.Data:
    """MovieLens-100K, out of a package of the registry."""
    folder = films_folder()
    return mt.Data({record: folder / f"{record.__name__.lower()}s.parquet" for record in (Film, Viewer, Visit)})
