"""Titles in what was answered before: they stand as they are written, and a sentence tells of each."""

from __future__ import annotations

import pytest

from motet.models.content.titles import Titles

NAMES = [
    "Phantoms",
    "Scream 2",
    "Jackal, The",
    "Steel",
    "It",
    "Face/Off",
    "Bad Girls",
    "Dead Man",
    "Better Off...",
]
TITLES = Titles(NAMES, [1997.0] * len(NAMES))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Asked for: Horror.\nPhantoms: Horror, 1998. Scream 2: Horror, 1997.", ["Phantoms", "Scream 2"]),
        ("Jackal, The: Action, 1997. Steel: Action, 1997.", ["Jackal, The", "Steel"]),
        ("Jackal, The movie is long. Face/Off is a thriller.", ["Jackal, The", "Face/Off"]),
        ("Bad Girls is a western. Dead Man: Western.", ["Bad Girls", "Dead Man"]),
        ("Better Off...: Comedy, 1985. Steel is old.", ["Better Off...", "Steel"]),
        ("It is great. It: Horror.", ["It"]),
        ("Steel yourself. Phantoms exist.", []),
        ("I told you of Scream 2. Steel is old.", ["Steel"]),
    ],
)
def test_what_an_answer_tells_of_is_known_again_in_its_order(text: str, named: list[str]) -> None:
    assert [NAMES[one.rows[0]] for one in TITLES.told(text)] == named
