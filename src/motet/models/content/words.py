"""Texts as words, in any script."""

from __future__ import annotations

import re
import unicodedata

ACCENTS = re.compile("[\u0300-\u036f]")

MARKS = (
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew points
    "\u064b-\u065f\u0670"  # Arabic vowels
    "\u0900-\u0963\u0966-\u0dff"  # the scripts of India, without the danda
)
UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff"  # Japanese syllables
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"  # Han
)
WORD = re.compile(f"(?:[^\\W_]|[{MARKS}{UNSPACED}])+")
RUN = re.compile(f"[{UNSPACED}]+|[^{UNSPACED}]+")
IS_UNSPACED = re.compile(f"[{UNSPACED}]")


def words(text: str) -> list[str]:
    """The words of a text, lower-case, without accents. Scripts that put no space between words give pairs
    of neighbouring characters instead."""
    if text.isascii():
        return WORD.findall(text.lower())
    folded = ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return [word for found in WORD.findall(unicodedata.normalize("NFC", folded)) for word in _split(found)]


def _split(word: str) -> list[str]:
    if word.isascii() or not IS_UNSPACED.search(word):
        return [word]
    return [piece for run in RUN.findall(word) for piece in _pairs(run)]


def _pairs(run: str) -> list[str]:
    if len(run) < 2 or not IS_UNSPACED.match(run):
        return [run]
    return [run[i : i + 2] for i in range(len(run) - 1)]
