"""A dry run: whether a version answers, before anybody is answered by it. It warms the version up, too."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from motet import intake
from motet.answer import Answer, plain
from motet.column import Time
from motet.errors import DataError, RunError
from motet.node import Column
from motet.record import reference_of
from motet.serve.version import Version

Row = Mapping[str, Any]
EXAMPLES = 8


class Recent:
    """The last few distinct asks that were answered."""

    def __init__(self) -> None:
        self._rows: deque[Row] = deque(maxlen=EXAMPLES)

    def keep(self, row: Row) -> None:
        if row not in self._rows:
            self._rows.append(row)

    def rows(self) -> list[Row]:
        return list(self._rows)


def examples(version: Version) -> list[Row]:
    """The last events of a version's data as asks that arrive now: without outcomes and time."""
    event, data = version.event, version.fitted.data
    rows = data.seen[event][-EXAMPLES:]
    run = version.context.batch(event, rows)
    asked = [n for n, kind in event.fields.items() if not event.specs[n].outcome and kind is not Time]
    columns = {name: plain(run, _column(event, name)) for name in asked}
    found = [{name: values[i] for name, values in columns.items() if values[i] is not None} for i in range(len(rows))]
    return [row for row in found if _is_ask(version, row)]


def try_out(new: Version, old: Version | None, asks: Sequence[Row]) -> None:
    """Asks a version one by one, then all at once.

    Errors: RunError where it fails, or has nothing to say where the old version has. What the old one fails at too
    is not held against it.
    """
    good = [ask for ask in asks if _passed(new, old, ask)]
    try:
        new.answer(good) if good else None
    except Exception as error:
        raise RunError(f"version {new.number} fails at {len(good)} asks at once: {error}") from error


def _passed(new: Version, old: Version | None, ask: Row) -> bool:
    before = _answered(old, ask) if old else None
    if old and before is None:
        return False
    try:
        now = new.answer([ask])[0]
    except Exception as error:
        raise RunError(f"version {new.number} fails at {ask}: {error}") from error
    # A late value may be missing because it was late.
    silent = [n for n in now if n not in new.late and _is_nothing(now[n]) and not _is_nothing((before or now)[n])]
    if silent:
        raise RunError(f"version {new.number} has no {silent[0]} for {ask}, and the one before it has")
    return True


def _answered(version: Version, ask: Row) -> Answer | None:
    try:
        return version.answer([ask])[0]
    except Exception:
        return None


def _is_nothing(value: Any) -> bool:
    return value is None or value != value or value in ("", [])


def _column(event: Any, name: str) -> Column:
    declared = event.__dict__[name]
    return declared if isinstance(declared, Column) else reference_of(declared)


def _is_ask(version: Version, row: Row) -> bool:
    try:
        intake.check(version.event, row, version.context.entities())
    except DataError:
        return False
    return True
