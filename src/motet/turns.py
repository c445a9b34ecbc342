"""A conversation as one text: a turn a line, the latest last, what the assistant said behind a mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

MOST = 8_000  # characters of a conversation that are kept: the latest turns
ASSISTANT = "> "


class Turn(NamedTuple):
    """What one side said. ours: whether it was the assistant."""

    text: str
    ours: bool = False


def joined(turns: Sequence[Turn]) -> str:
    """The conversation as one text. Line breaks inside a turn are spaces, so nobody can speak in another's name."""
    lines: list[str] = []
    left = MOST
    for turn in reversed(turns):
        said = " ".join(short(turn.text).split()).lstrip("> ")
        line = ASSISTANT + said if turn.ours else said
        left -= len(line) + 1
        if left < 0 and lines:
            break
        lines.append(line)
    return "\n".join(reversed(lines))


def short(text: str) -> str:
    """Of an endless turn the beginning and the end: what is asked for is seldom in the middle."""
    return text if len(text) <= MOST else f"{text[: MOST // 2 - 1]} {text[-MOST // 2 :]}"


def parted(text: str) -> list[Turn]:
    """The turns of a text; one without line breaks is one turn. Of an endless one the latest are read."""
    text = text.strip()
    if len(text) > MOST:
        text = text[-MOST:].partition("\n")[2] or short(text.splitlines()[-1])
    lines = [line.strip() for line in text.splitlines()]
    return [Turn(line.removeprefix(ASSISTANT), line.startswith(ASSISTANT)) for line in lines if line]
