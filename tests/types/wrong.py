"""What a type checker must refuse in an editor: every line that says so, and no other."""

import motet as mt
from examples.films.graph import Film, Visit, embed, facets, found, meaning, reply, seen

embed(Visit.rating)  # refused: a number is no text
Film.title @ meaning  # refused: a text is no vector
facets.mod  # refused: no such field
Visit.viewer.title  # refused: a viewer has no title
Film.year.otherwise(Film.title)  # refused: a number cannot fall back on a text
mt.LightGBM("ranking")  # refused: no such objective
mt.SASRec(dims=64)  # refused: no such argument
mt.retrieve(Film, k=10, by=[Film.title])  # refused: a text does not score
found.score + Film.title  # refused: a number and a text
mt.BM25()(Film.year, Visit.query)  # refused: a number is no text
mt.distill(Film.title, Visit.query)  # refused: a text is no label and no number
seen.median()  # refused: no such aggregate
Visit.query.equals("sea")  # refused: a text is no name
Film.title.within(seconds=3, otherwise="")  # refused: a title is there in time
reply.otherwse("")  # refused: no such method
mt.LightGBM("binary")(Film.year)  # refused: no target
Film.year.otherwise()  # refused: nothing stands in
meaning @ embed(Visit.query)
embed(reply)
Film.year + seen.count()
