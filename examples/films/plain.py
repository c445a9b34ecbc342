"""The same job without an embedder and without a language model: what they are measured against."""

import motet as mt
from examples.films.graph import Film, Visit, popular, seen

history = mt.past(Visit.film, by=Visit.viewer, last=50)
taste = mt.SASRec(dim=64, epochs=25)(history, Film)
found = mt.retrieve(Film, k=200, by=[taste], exclude=seen).otherwise(popular)
score = mt.LightGBM("lambdarank")(found, taste, popular, Film.year, seen.count(), target=Visit.rating >= 4)
top = score.otherwise(found).top(10)

plain = mt.Graph(top=top, found=found.top(100))
