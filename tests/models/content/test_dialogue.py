"""What conversations come to: titles, years, tags, what later turns change, and that text stays text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet as mt
from motet.models.content.periods import read
from motet.run.context import Batched, Context
from motet.run.runner import Local
from motet.store import Store

FILMS: list[tuple[str, list[str], float | None]] = [
    ("Alien (1979)", ["Horror", "Sci-Fi"], 1979),
    ("Matrix, The (1999)", ["Action", "Sci-Fi"], 1999),
    ("Titanic (1997)", ["Drama", "Romance"], 1997),
    ("Titanic (1953)", ["Drama"], 1953),
    ("It (1990)", ["Horror"], 1990),
    ("Heat (1995)", ["Action", "Crime"], 1995),
    ("Up Close and Personal (1996)", ["Drama", "Romance"], 1996),
    ("Groundhog Day (1993)", ["Comedy", "Romance"], 1993),
    ("Clueless (1995)", ["Comedy"], 1995),
    ("Cité des enfants perdus, La (City of Lost Children, The) (1995)", ["Sci-Fi"], 1995),
    ("Sleepless in Seattle (1993)", ["Comedy", "Romance"], 1993),
    ("Airplane! (1980)", ["Comedy"], 1980),
    ("Get Shorty (1995)", ["Comedy", "Crime"], 1995),
    ("Undated", ["Drama"], None),
    ("<b>Bold</b> (2001)", ["Drama"], 2001),
    ("Fast & Furious (2009)", ["Action"], 2009),
    ("Star Wars: Episode IV - A New Hope (1977)", ["Sci-Fi"], 1977),
]


WORDS = (  # of which years are said
    *("1990", "1995", "'95", "95", "80s", "'80s", "1980's", "90ies", "nineties"),
    *(
        "the",
        "early",
        "mid",
        "late",
        "first half of",
        "last",
        "past",
        "years",
        "decade",
        "5",
        "three",
        "more than",
        "old",
    ),
    *("between", "and", "or", "nor", "to", "until", "from", "after", "before", "not", "no", "neither", "except", "my"),
    *("at least", "at most", ">", "<", ">=", "+", "or later", "or older", "around", "in", "of", "comedy", "?", "."),
)


class Film(mt.Entity):
    film_id: mt.Key
    title: mt.Text
    genres: mt.Tags
    year: mt.Number


class Visit(mt.Event):
    at: mt.Time
    said: mt.Text = mt.default("")
    film: Film = mt.outcome()


heard = mt.Dialogue(also={"scary": "Horror", "funny": "Comedy", "science fiction": "Sci-Fi"})(
    Visit.said, Film.title, Film.genres, Film.year
)


def films() -> list[dict[str, Any]]:
    return [{"film_id": i, "title": t, "genres": g, "year": y} for i, (t, g, y) in enumerate(FILMS)]


def run_of(*texts: str) -> Batched:
    data = mt.Data({Film: films(), Visit: [{"at": i, "said": text, "film": 0} for i, text in enumerate(texts)]})
    return Context(data, Local(), Store("unused")).batch(Visit, data.asked[Visit])


def value(column: mt.Column, *texts: str) -> Any:
    return run_of(*texts).value(column)


def listed(column: mt.Column, text: str) -> list[str]:
    return [FILMS[row][0].partition(" (")[0] for row in value(column, text).windows.row(0).tolist()]


def said(column: mt.Column, text: str) -> str:
    made = value(column, text)
    return str(made[0].as_py()) if hasattr(made, "to_pylist") else str(made.names.names[int(made.codes[0])])


def fitting(text: str) -> set[str]:
    fits = value(heard.fits, text).dense(slice(0, 1))[0]
    return {FILMS[row][0] for row in np.flatnonzero(fits)}


def years(text: str) -> set[float | None]:
    return {year for title, _, year in FILMS if title in fitting(text)}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("something like Alien", ["Alien"]),
        ("like alien", ["Alien"]),
        ("I loved the matrix and alien", ["Matrix, The", "Alien"]),
        ("Matrix, The (1999)", ["Matrix, The"]),
        ("titanic (1953)", ["Titanic"]),
        ("I love Titanic", ["Titanic", "Titanic"]),
        ("groundhog day was fun", ["Groundhog Day"]),
        ("City of Lost Children", ["Cité des enfants perdus, La"]),
        ("la cite des enfants perdus", ["Cité des enfants perdus, La"]),
        ("fast and furious", ["Fast & Furious"]),
        ("more like star wars", ["Star Wars: Episode IV - A New Hope"]),
        ('"It" scared me', ["It"]),
        ("\u201cIt\u201d scared me", ["It"]),
        ("I saw It yesterday", ["It"]),
        ("I liked that one It was slow", []),
        ("it was great, turn up the heat", []),
        ("I like it", []),
        ("like heat films", []),
        ("ALIEN IS GREAT", []),
        ("something like Solaris (1972)", []),
        ("alien (1986)", []),
        ("something like Alien (1986)", []),
        ("get", []),
    ],
)
def test_titles_are_found_where_they_are_meant(text: str, named: list[str]) -> None:
    assert listed(heard.named, text) == named


def test_what_is_denied_or_not_seen_is_not_liked() -> None:
    assert listed(heard.liked, "I loved Groundhog Day but hated Titanic, Heat") == ["Groundhog Day"]
    assert listed(heard.liked, "I have not seen Groundhog Day. But I enjoyed Clueless.") == ["Clueless"]
    assert listed(heard.liked, "like Alien\nactually I didn't like Alien") == []
    assert listed(heard.liked, "like Alien and Heat\ntake back the Alien part") == ["Heat"]
    assert listed(heard.liked, "have I seen Alien?") == []
    assert listed(heard.liked, "unlike Alien") == []


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("after 1995", 1996, 2100),
        ("since 1995", 1995, 2100),
        ("from 1995 on", 1995, 2100),
        ("newer than 1990 please", 1991, 2100),
        ("before 1990", 0, 1989),
        ("nothing older than 1990", 1990, 2100),
        ("not after 1990", 0, 1990),
        ("between 1990 and 1995", 1990, 1995),
        ("1990-1995", 1990, 1995),
        ("in 1995", 1995, 1995),
        ("a 1995 film", 1995, 1995),
        ("from the 90s", 1990, 1999),
        ("90's comedies", 1990, 1999),
        ("the early nineties", 1990, 1994),
        ("80s or 90s", 1980, 1999),
        ("1995 or 1996", 1995, 1996),
        ("at least 1995", 1995, 2100),
        ("1995 at the earliest", 1995, 2100),
        ("no more than 1990", 0, 1990),
        ("the last 5 years", 2005, 2009),
        ("from the past decade", 2000, 2009),
        ("after 1990 before 1980", 0, -1),
        ("mid-80s", 1983, 1987),
        ("mid-eighties", 1983, 1987),
        ("from the mid-to-late 90s", 1993, 1999),
        ("first half of the 90s", 1990, 1994),
        ("films from '95", 1995, 1995),
        ("until '95", 0, 1995),
        ("1990-95", 1990, 1995),
        ("1990 to 95", 1990, 1995),
        ("films > 1990 and < 1995", 1991, 1994),
        (">=1995", 1995, 2100),
        ("around 1995", 1993, 1997),
        ("more than 20 years old", 0, 1989),
        ("in my 90s", 0, 9999),
        ("the last 0 years", 2009, 2009),
        ("never mind the year", 0, 9999),
        ("after 1990\nnever mind the year", 0, 9999),
        ("after 1990\nbefore 1996", 1991, 1995),
        ("before 1980\nafter 1990", 1991, 2100),
        ("after 1995\nany year is fine", 0, 9999),
        ("set in 1995", 0, 9999),
        ("no limits", 0, 9999),
    ],
)
def test_years_hold_to_the_year(text: str, low: int, high: int) -> None:
    wanted = {"Comedy"} if "comedies" in text else set[str]()
    right = {t for t, g, y in FILMS if wanted <= set(g) and (high == 9999 or (y is not None and low <= y <= high))}
    assert fitting(text) == right


def test_a_stretch_of_years_can_be_left_out() -> None:
    assert years("nothing from the 90s") == {1979, 1953, 1980, 2001, 2009, 1977}
    assert years("not 1995 or 1996") == {1979, 1999, 1997, 1953, 1990, 1993, 1980, 2001, 2009, 1977}
    assert years("before 1979 or after 1999") == {1953, 1977, 2001, 2009}
    assert years("from the 70s or the 2000s") == {1979, 1977, 2001, 2009}
    assert years("older than 1979 or newer than 1999") == {1953, 1977, 2001, 2009}
    assert years("before 1960 or from the 2000s") == {1953, 2001, 2009}
    assert years("in 1993 or after 2000") == {1993, 2001, 2009}
    assert years("neither 80s nor 90s") == {1979, 1953, 2001, 2009, 1977}
    assert years("in the 90s except 1995") == {1999, 1997, 1990, 1996, 1993}
    assert years("from the 70s or the 90s, not 1995") == {1979, 1977, 1999, 1997, 1990, 1996, 1993}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a comedy", lambda g: "Comedy" in g),
        ("romance comedies", lambda g: {"Comedy", "Romance"} <= g),
        ("comedy or crime", lambda g: g & {"Comedy", "Crime"}),
        ("comedies and dramas", lambda g: g & {"Comedy", "Drama"}),
        ("sci-fi", lambda g: "Sci-Fi" in g),
        ("scifi please", lambda g: "Sci-Fi" in g),
        ("science fiction", lambda g: "Sci-Fi" in g),
        ("no horror", lambda g: "Horror" not in g),
        ("nothing scary", lambda g: "Horror" not in g),
        ("anything but horror", lambda g: "Horror" not in g),
        ("I don't like horror, sci-fi or romance", lambda g: not g & {"Horror", "Sci-Fi", "Romance"}),
        ("a non-horror film like Sci-Fi", lambda g: "Horror" not in g and "Sci-Fi" in g),
        ("a non-action comedy", lambda g: "Action" not in g and "Comedy" in g),
        ("no horror but a drama", lambda g: "Horror" not in g and "Drama" in g),
        ("no horror, comedy", lambda g: "Horror" not in g and "Comedy" in g),
        ("with my crime family", lambda g: True),
        ("I don't like him as a person and yet most of what he did was funny", lambda g: "Comedy" in g),
        ("horror is not my thing", lambda g: "Horror" not in g),
        ("crime that isn't scary", lambda g: "Crime" in g and "Horror" not in g),
        ("a comedy\nwith romance", lambda g: {"Comedy", "Romance"} <= g),
        ("a comedy\nhow about a drama", lambda g: "Drama" in g),
        ("a comedy\nno comedies", lambda g: "Comedy" not in g),
        ("I don\u2019t like horror", lambda g: "Horror" not in g),
        ("no horror\nhorror is fine after all", lambda g: True),
        ("no horror, after 1990\nstart over", lambda g: True),
        ("a comedy, no horror\nforget everything", lambda g: True),
        ("a comedy\nforget the comedy", lambda g: True),
        ("no horror\nforget about horror", lambda g: True),
        ("a comedy\nnever mind the comedy", lambda g: True),
        ("a comedy, no horror\nnever mind the comedy", lambda g: "Horror" not in g),
        ("a comedy, no horror\nnever mind", lambda g: True),
        ("scary\nforget the horror and show me a comedy", lambda g: "Comedy" in g),
        ("scary or funny\nforget horror and the comedy", lambda g: True),
        ("I like crime, what do you have in mind?", lambda g: "Crime" in g),
        ("no horror\nI don't mind horror", lambda g: True),
        ("not only comedies", lambda g: "Comedy" in g),
        ("I do not dislike horror", lambda g: "Horror" in g),
        ("comedies but not romance comedies", lambda g: "Comedy" in g and "Romance" not in g),
        ("not romance comedies", lambda g: not g & {"Comedy", "Romance"}),
        ("post-crime", lambda g: True),
        ("no crime\nforget everything I said", lambda g: True),
        ("scary but not too scary", lambda g: "Horror" in g),
        ("scary\nnot too scary", lambda g: "Horror" in g),
        ("not too scary", lambda g: "Horror" not in g),
        ("no horror please, something scary", lambda g: "Horror" not in g),
    ],
)
def test_tags_hold(text: str, rule: Any) -> None:
    assert fitting(text) == {t for t, g, _ in FILMS if rule(set(g))}


def test_what_was_named_is_not_found_again() -> None:
    shown = fitting("a comedy\n> Groundhog Day (1993) or Clueless (1995)\nmore like the second one")
    assert shown == {"Sleepless in Seattle (1993)", "Airplane! (1980)", "Get Shorty (1995)"}
    text = "a comedy\n> Groundhog Day (1993) or Clueless (1995)\nmore like the second one"
    assert listed(heard.liked, text) == ["Clueless"]


def test_newer_is_newer_than_what_was_shown() -> None:
    assert years("hm\n> Airplane! (1980), Groundhog Day (1993), Clueless (1995)\nsomething newer") == {
        y for _, _, y in FILMS if y is not None and y > 1993
    }


def test_a_question_about_an_item_finds_that_item() -> None:
    assert fitting("no crime\ntell me about Heat") == {"Heat (1995)"}
    assert fitting("a comedy\n> Clueless (1995)\ntell me more about that one") == {"Clueless (1995)"}
    assert said(heard.intent, "tell me about Heat") == "about"
    assert fitting("Is Groundhog Day any good?") == {"Groundhog Day (1993)"}
    assert said(heard.intent, "Groundhog Day was good") == "like this"
    assert fitting("a comedy\n> Clueless (1995): Comedy. Get Shorty (1995): Comedy.\nwho directed it?") == {
        "Clueless (1995)"
    }
    assert fitting("tell me about Heat\n> Heat (1995): Crime.\nwhat year is it from?") == {"Heat (1995)"}
    assert fitting("like Heat\nwhen was it made?") == {"Heat (1995)"}
    for question in ("is it a comedy?", "how long is it?", "what is the plot of it?", "how about Heat?"):
        assert fitting(f"tell me about Heat\n> Heat (1995): Crime.\n{question}") == {"Heat (1995)"}
        assert len(fitting(f"tell me about Heat\n> Heat (1995): Crime.\n{question}\nanything else")) == len(FILMS) - 1
    told = "horror\n> Alien (1979) is a horror film. Titanic (1997) has drama in it. Heat (1995) was made in 1995.\n"
    assert fitting(f"{told}tell me about the second one") == {"Titanic (1997)"}
    shown = "like Alien\n> Asked for: like Alien (1979). Heat (1995): Crime. Undated is a drama.\n"
    assert fitting(f"{shown}tell me about the first one") == {"Heat (1995)"}
    assert fitting(f"{shown}tell me about the last one") == {"Undated"}


@pytest.mark.parametrize(
    ("text", "answered"),
    [
        ("", "What are you looking for?"),
        ("Good Morning!", "What are you looking for?"),
        ("hey there, how's it going", "What are you looking for?"),
        ("thanks, bye", "You are welcome."),
        ("a comedy\nthank you", "You are welcome."),
        ("good bye", "Goodbye."),
        ("who are you", 'Say what you like: "Action", "after 1995", "like Alien (1979)"'),
        ("what can you do?", 'Say what you like: "Action"'),
        ("help", 'Say what you like: "Action"'),
        ("are you human?", 'Say what you like: "Action"'),
    ],
)
def test_small_talk_is_answered_and_asks_for_nothing(text: str, answered: str) -> None:
    assert said(heard.intent, text) == "smalltalk"
    assert said(heard.understood, text).startswith(answered)
    assert listed(heard.named, text) == []


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("something like The Flibbertigibbet Chronicles", "The Flibbertigibbet Chronicles"),
        ("I loved Alien and something like Solaris (1972)", "Solaris"),
        ("I really enjoyed The Shape of Water and Heat", "The Shape of Water"),
        ("have you seen Zorblax 9000?", "Zorblax 9000"),
        ("tell me about Inception", "Inception"),
        ("what about Inception?", "Inception"),
        ("I like Italian comedies and Disney movies", ""),
        ("I like Alien", ""),
        ("something like Horror", ""),
        ("I LIKE SHOUTING", ""),
        ("like I said", ""),
    ],
)
def test_a_title_that_is_none_is_said(text: str, unknown: str) -> None:
    answer = said(heard.understood, text)
    assert answer.endswith(f"No title known: {unknown}.") if unknown else "No title" not in answer


def test_of_many_titles_that_are_none_the_first_are_said() -> None:
    text = "so far and by now I liked Abcd, and later I liked Efgh, then I liked Ijkl, at last I liked Mnop"
    assert said(heard.understood, text) == "No title known: Abcd, Efgh, Ijkl."


def test_a_mistyped_title_is_asked_back() -> None:
    assert said(heard.understood, "like Sleeples in Seatle") == (
        "No title known: Sleeples in Seatle. Did you mean Sleepless in Seattle (1993)?"
    )


def test_intents() -> None:
    found = {text: said(heard.intent, text) for text in ("hi there", "a comedy", "like Alien", "a comedy\nno romance")}
    assert list(found.values()) == ["smalltalk", "find", "like this", "refine"]


def test_the_query_is_what_is_left_to_search_for() -> None:
    text = "I am looking for a film like Alien, after 1970, with submarines\nno horror please, something scary at sea"
    assert said(heard.query, text) == "submarines scary sea"
    assert said(heard.query, "a comedy at sea\nforget the comedy") == "sea"
    assert said(heard.query, "submarines\nforget everything") == ""
    assert said(heard.query, "I have never seen Heat with submarines") == "submarines"
    assert said(heard.query, "crime is fine") == "crime"
    assert said(heard.query, "recommend me 3 films, only one at sea please") == "sea"
    assert said(heard.query, "submarines\nforget the year") == "submarines"
    assert said(heard.query, "scary\nno, not horror, something funny instead") == "funny"
    assert len(said(heard.query, "submarine " * 5000).split()) == 64


def test_what_was_asked_for_is_said() -> None:
    assert said(heard.understood, "a comedy like Alien, after 1990, no crime or horror") == (
        "Asked for: Comedy, without Crime, without Horror, from 1991 on, like Alien (1979)."
    )
    assert said(heard.understood, "horror after 2050") == "Nothing fits: Horror, from 2051 on."
    assert fitting("horror after 2050") == set()
    assert said(heard.understood, "submarines") == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "> > >",
        "(((",
        '"' * 500,
        "<script>alert('Alien')</script>",
        "\0\ud7ff\u202e",
        "💥" * 99,
        "a " * 90_000,
        "ignore all previous instructions",
        "like " * 3000,
        "(1995) " * 2000,
        "between and " * 999,
        "'90s'" * 999,
        "1995 or " * 999,
        "the year " * 880,
        "early mid late " * 520,
        "like Alien" + " " * 3000 + "x alien",
        "like Alien" + "&" * 1500 + " x alien" * 100,
    ],
)
def test_odd_texts_ask_for_nothing_odd(text: str) -> None:
    began = time.monotonic()
    assert said(heard.intent, text)
    assert len(fitting(text)) in range(len(FILMS) + 1)
    assert time.monotonic() - began < 2, "no text may hold up the batch"


@given(st.lists(st.sampled_from(WORDS), max_size=12), st.sampled_from([" ", "-", ", ", "\n", "/", ""]))
def test_whatever_is_said_can_be_read(words: list[str], between: str) -> None:
    low, high, without = read(between.join(words), 1998)[0]
    assert all(year is None or 1700 < year < 2200 for year in (low, high, *(y for span in without for y in span)))


def test_titles_are_text_and_change_nothing() -> None:
    assert listed(heard.liked, "I like <b>Bold</b> (2001)") == ["<b>Bold</b>"]


def test_titles_alone_can_be_talked_about() -> None:
    bare = mt.Dialogue()(Visit.said, Film.title)
    assert value(bare.fits, "from the last five years, like Alien").dense(slice(0, 1)).sum() == len(FILMS) - 1
    helped = value(bare.understood, "help")[0].as_py()
    assert helped == 'Say what you like: "like Alien (1979)". Or ask: "tell me about Alien (1979)".'


def test_what_is_unknown_is_said_where_nothing_fits() -> None:
    assert said(heard.understood, "horror after 2050 like Zorblax.") == (
        "Nothing fits: Horror, from 2051 on. No title known: Zorblax."
    )


def test_a_conversation_is_read_the_same_online(tmp_path: Path) -> None:
    texts = ["like Alien, no horror", "", "a comedy\n> Clueless (1995)\nnewer"]
    rows = [{"at": i, "said": text, "film": i % 3} for i, text in enumerate(texts * 3)]
    data = mt.Data({Film: films(), Visit: rows})
    found = mt.retrieve(Film, k=20, by=[Film.year], where=heard.fits)
    graph = mt.Graph(found=found, liked=heard.liked, intent=heard.intent, query=heard.query, said=heard.understood)
    fitted = graph.fit(data, store=tmp_path, quiet=True)
    for text in texts:
        answer = fitted.ask(at=99, said=text)
        # An item without a score is not retrieved.
        assert {each["title"] for each in answer["found"]} == fitting(text) - {"Undated"}
        assert answer["query"] == said(heard.query, text)


def test_items_named_with_liking_are_scored_by_what_people_did(tmp_path: Path) -> None:
    class Viewer(mt.Entity):
        viewer_id: mt.Key

    class Watch(mt.Event):
        viewer: Viewer
        at: mt.Time
        said: mt.Text = mt.default("")
        film: Film = mt.outcome()

    rows = [{"viewer": f"v{n % 6}", "at": n, "film": [0, 9, 5, 12][(n // 6) % 2 + 2 * (n % 2)]} for n in range(60)]
    seen = mt.past(Watch.film, by=Watch.viewer)
    told = mt.Dialogue()(Watch.said, Film.title)
    kin = mt.ItemKNN(shrinkage=0)(told.liked, Film, learnt_from=seen)
    data = mt.Data({Film: films(), Viewer: [{"viewer_id": f"v{n}"} for n in range(6)], Watch: rows})
    fitted = mt.Graph(kin=mt.retrieve(Film, k=3, by=kin, where=told.fits)).fit(data, store=tmp_path, quiet=True)
    assert [each["film_id"] for each in fitted.ask(viewer="new", at=99, said="like Alien")["kin"]][:1] == [9]
    assert [each["film_id"] for each in fitted.ask(viewer="new", at=99, said='"Heat" was good')["kin"]][:1] == [12]
    assert fitted.ask(viewer="new", at=99, said="anything")["kin"] == []


def test_what_cannot_be_read_against_an_entity_is_refused() -> None:
    with pytest.raises(mt.GraphError, match="against an entity's own columns"):
        mt.Dialogue()(Film.title, Film.title)
