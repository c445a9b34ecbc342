"""What is said of a method that a kind of column does not have: which kinds have it, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from motet.errors import FieldError, listed

# How one comes by what no field is declared as.
MADE: Mapping[str, str] = {
    "Sequence": "mt.past(Visit.film, by=Visit.viewer)",
    "Candidates": "mt.retrieve(Film, k=200, by=[...])",
}
# What to write instead of something that a kind of column does not have.
INSTEAD: Mapping[tuple[str, str], str] = {
    ("Tags", "equals"): '.has("a name")',
    ("Category", "has"): '.equals("a name")',
    ("Flag", "equals"): "it is a condition as it is, and ~ turns it around",
    (
        "Column",
        "within",
    ): "only what comes late, as mt.Write(...), has a deadline; a column that may fail has .otherwise(None)",
}


def lacking(column: str, field: str, kind: type, root: type, name: str) -> FieldError:
    """That a column does not have something, which have it, and what to write instead.

    column, field: what it is called, whole and by itself. kind: its class. root: of which all kinds of columns are.
    """
    what = f"{column} is a {kind.__name__} and has no {name!r}"
    said = next((INSTEAD[each.__name__, name] for each in kind.__mro__ if (each.__name__, name) in INSTEAD), "")
    having = sorted(each.__name__ for each in _kinds_of(root) if name in vars(each))
    if not having:
        return FieldError(what, help=said or listed(_methods(kind), name))
    which = f"{' and '.join(having)} {'have' if len(having) > 1 else 'has'}"
    made = f"{MADE[having[0]]}.{name}(...)" if having[0] in MADE else f"declare the field so: {field}: mt.{having[0]}"
    return FieldError(f"{what}, which {which}", help=said or made)


def _methods(kind: type) -> list[str]:
    """What a graph's author may call on a column."""
    return [name for name in dir(kind) if name[0] != "_" and name != "of" and callable(getattr(kind, name))]


def _kinds_of(kind: type) -> Iterator[type]:
    """The kinds of columns that are made of one."""
    for each in kind.__subclasses__():
        yield each
        yield from _kinds_of(each)
