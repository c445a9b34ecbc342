"""What is wrong with data, gathered so that all of it is said at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from motet.errors import DataError

SHOWN = 5
"""Rows or keys that a message names; the rest are counted."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and what to do about it."""

    text: str
    help: str


def refuse(problems: Sequence[Problem]) -> None:
    """Raises one DataError that says them all; nothing where there are none."""
    if not problems:
        return
    helps = list(dict.fromkeys(p.help for p in problems))
    if len(problems) == 1:
        raise DataError(problems[0].text, help="\n".join(helps))
    lines = "".join(f"\n  {p.text}" for p in problems)
    raise DataError(f"{len(problems)} things are wrong with the data{lines}", help="\n      ".join(helps))


def few(names: Iterable[Any], count: int) -> str:
    """The first names and how many more there are."""
    shown = [str(name) for _, name in zip(range(SHOWN), names, strict=False)]
    rest = count - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest > 0 else "")


def shown(value: Any) -> str:
    """A value as a message quotes it."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
