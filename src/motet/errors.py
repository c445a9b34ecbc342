"""What Motet raises. A message says what is wrong and what exists; `help` shows the code to write."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MotetError(Exception):
    """Anything Motet refuses or fails at. Catch this one to catch them all."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(f"{message}\nhelp: {help}" if help else message)
        self.what, self.help = message, help


class GraphError(MotetError, TypeError):
    """A graph, or a part of one, that cannot mean anything. Raised at the line that builds it."""


class FieldError(GraphError, AttributeError):
    """A field that a record does not have, or a method that a column does not have."""


class DataError(MotetError, ValueError):
    """Data that do not fit their records. Lists everything that is wrong, with rows or keys."""


class RunError(MotetError, RuntimeError):
    """Something that a run needs is not there or failed: a package, a weight file, an LLM, a state."""


def listed(names: Iterable[str], given: str = "") -> str:
    """The names that exist, the likeliest first when something else was given."""
    known = sorted(names)
    near = nearest(known, given)
    rest = ", ".join(known) or "nothing"
    return f"did you mean {near!r}? there are: {rest}" if near else f"there are: {rest}"


def nearest(names: Iterable[str], given: str) -> str:
    """The name that was likely meant, empty where none is like it."""
    return next(iter(difflib.get_close_matches(given, list(names), n=1)), "")


def counted(count: int, noun: str) -> str:
    """3 rows, 1 row."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def an(kind: str) -> str:
    """A Text, an Image."""
    return f"{'an' if kind.startswith(('A', 'E', 'I', 'O')) else 'a'} {kind}"


def all_of(count: int, noun: str) -> str:
    """All 3 rows, the only row."""
    return f"the only {noun}" if count == 1 else f"all {counted(count, noun)}"


def needs(extra: str, package: str) -> RunError:
    """The one sentence for a package that an extra brings."""
    return RunError(f"{package} is not installed", help=f'pip install "motet[{extra}]"')
