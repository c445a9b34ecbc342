"""Tokens where no language model counts them: four bytes of UTF-8 are one, about what tokenizers make of English."""

from __future__ import annotations

BYTES = 4


def reckoned(text: str) -> int:
    """How many tokens a text is, the last one begun."""
    return -(-len(_bytes(text)) // BYTES)


def kept(text: str, tokens: int, after: str = "") -> str:
    """As much of a text as so many tokens hold beside what is before it, up to the end of a word where one ends."""
    room = max(tokens * BYTES - len(_bytes(after)), 0)
    whole = _bytes(text)
    if len(whole) <= room:
        return text
    fits = whole[:room].decode(errors="ignore")
    ends = max((i for i in range(len(fits) + 1) if text[i].isspace()), default=len(fits))
    return fits[:ends]


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
