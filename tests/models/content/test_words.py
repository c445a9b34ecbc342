from __future__ import annotations

import time

import pytest

from motet.models.content.words import words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Sea, the sea!", ["the", "sea", "the", "sea"]),
        ("snake_case 2001", ["snake", "case", "2001"]),
        ("Amélie ÉTÉ", ["amelie", "ete"]),
        ("Straße", ["strasse"]),
        ("Война и мир", ["воина", "и", "мир"]),
        ("七人の侍", ["七人", "人の", "の侍"]),
        ("侍", ["侍"]),
        ("映画abc 8", ["映画", "abc", "8"]),
        ("सत्यजित राय", ["सत्यजित", "राय"]),
        ("기생충 봉준호", ["기생충", "봉준호"]),
        ("سينما", ["سينما"]),
        ("", []),
        (" .,!? \U0001f600 ", []),
    ],
)
def test_words_of_any_script(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_a_composed_and_a_decomposed_letter_are_the_same_word() -> None:
    assert words("caf\u00e9") == words("cafe\u0301") == ["cafe"]


def test_a_megabyte_takes_no_time() -> None:
    started = time.perf_counter()
    assert len(words("le café du coin " * 65_000)) == 260_000
    assert time.perf_counter() - started < 5
