"""Talking about films: what is wanted is read out of the conversation, found by taste, meaning and words, and told."""

import motet as mt
from examples.films.graph import Film, Visit, data, embed, llm, meaning, popular, seen, taste, words

__all__ = ["data", "talk"]

GENRES = {  # what people call the genres
    "animated": "Animation",
    "cartoon": "Animation",
    "children": "Children's",
    "kids": "Children's",
    "detective": "Mystery",
    "documentaries": "Documentary",
    "funny": "Comedy",
    "love story": "Romance",
    "noir": "Film-Noir",
    "romantic": "Romance",
    "scary": "Horror",
    "science fiction": "Sci-Fi",
    "suspense": "Thriller",
}

heard = mt.Dialogue(also=GENRES)(Visit.query, Film.title, Film.genres, Film.year)  # what was said, turn by turn
asked = meaning @ embed(heard.query)
named = mt.BM25()(words, heard.query)
alike = meaning @ mt.Pool()(heard.liked, meaning)  # by content like the films that were named with liking
kin = mt.EASE()(heard.liked, Film, learnt_from=seen)  # liked by those who liked them
found = mt.retrieve(Film, k=200, by=[taste, asked, named, alike, kin], exclude=seen, where=heard.fits)
known = mt.retrieve(Film, k=10, by=[popular, mt.BM25()(Film.title, Visit.query)], where=heard.fits)
chosen = found.otherwise(known)  # where nothing else fits, what was seen already
facts = mt.Template()(chosen.top(3))
write = mt.Write(llm, "Answer {query} using only {films}.")
wanted = ~(heard.intent.equals("smalltalk") | heard.intent.equals("about"))  # of one film, its facts are the answer
reply = write(query=heard.query, films=chosen.top(3)).within(seconds=8, otherwise=facts, where=wanted)

talk = mt.Graph(top=chosen.top(10), intent=heard.intent, understood=heard.understood, reply=reply)
