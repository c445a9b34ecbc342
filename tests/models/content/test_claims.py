from __future__ import annotations

import pytest

from motet.models.content.claims import Facts, beginnings, goes_round, sober, tells, unfounded

HEAT = Facts("Heat", {"genres": ["Action", "Crime"], "year": "1995", "plot": "A detective hunts a crew of thieves."})
NAMES = ["Action", "Crime", "Comedy", "Sci-Fi"]
QUERY = "something tense by Mann"


@pytest.mark.parametrize(
    "sentence",
    [
        "is a crime film from 1995 about a detective.",
        "is something tense: thieves and the detective who hunts them.",
    ],
)
def test_what_the_columns_or_the_query_hold_may_be_said(sentence: str) -> None:
    assert unfounded(sentence, HEAT, QUERY, NAMES) == []


@pytest.mark.parametrize(
    ("sentence", "claim"),
    [
        ("offers action by Mann.", "Mann"),
        ("is a crime film from 1996.", "1996"),
        ("is a crime film with Al Pacino.", "Pacino"),
        ("is a comedy about thieves.", "Comedy"),
        ("is a sci-fi film.", "Sci-Fi"),
        ("is about a family's tragic loss.", "tragic"),
    ],
)
def test_what_they_do_not_hold_is_named(sentence: str, claim: str) -> None:
    assert claim in unfounded(sentence, HEAT, QUERY, NAMES)


def test_the_template_ends_once() -> None:
    assert Facts("Airplane!", {"plot": "Two pilots fall ill."}).template == "Airplane!: Two pilots fall ill."
    assert Facts("Airplane!", {}).template == "Airplane!"
    assert Facts("Heat", {"year": "1995"}).template == "Heat: 1995."


def test_the_template_claims_nothing_new() -> None:
    assert HEAT.template.startswith("Heat: Action and Crime, 1995")
    assert unfounded(HEAT.template[len("Heat") :], HEAT, "", NAMES) == []


@pytest.mark.parametrize(
    ("sentence", "round"),
    [
        (" is a classic example of a genre of the genre of the genre of the genre.", True),
        (" is a film, it is a film.", True),
        (" is a crime film and a thriller of 1995.", False),
        (" is good, very good.", False),
        ("", False),
    ],
)
def test_a_sentence_that_lost_its_thread_is_told_by_its_repetition(sentence: str, round: bool) -> None:
    assert goes_round(sentence) is round


@pytest.mark.parametrize(
    ("sentence", "shorter"),
    [
        (" is a crime film that has won two prizes.", [" is a crime film."]),
        (
            " is a film noir, set in Paris, about a thief.",
            [" is a film noir, set in Paris.", " is a film noir."],
        ),
        (" is a drama written by a poet.", []),
        (" is a drama film written by a poet.", [" is a drama film."]),
        (" is a children's and animated film.", []),
        (" is about a thief.", []),
        (" in 1996 (year: 1996) is a drama.", []),
    ],
)
def test_a_sentence_can_end_where_a_clause_begins(sentence: str, shorter: list[str]) -> None:
    assert list(beginnings(sentence)) == shorter


def test_a_hyphen_hides_no_claim() -> None:
    assert "Sci-Fi" in unfounded("is a sci fi film.", HEAT, QUERY, NAMES)


def test_praise_is_left_out() -> None:
    assert sober(" is a classic action film.", HEAT) == " is an action film."
    assert sober(" is the Famous 1995 film.", HEAT) == " is the 1995 film."
    for sound in (" is one of the most popular films.", " is a popular and classic film.", " is action."):
        assert sober(sound, HEAT) == sound
    assert sober(" is a classic film.", Facts("Heat", {"tags": ["Classic"]})) == " is a classic film."


def test_a_sentence_tells_something_of_the_columns() -> None:
    assert tells(" is a crime film.", HEAT)
    assert tells(" was made in 1995.", HEAT)
    assert not tells(" is a film that fans love.", HEAT)
    assert tells(" is a film.", Facts("Heat", {}))
