"""What is wrong with asks as they are given, before their values become columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from motet.batch import Vocabulary
from motet.errors import counted
from motet.record import Entity, Event, Record
from motet.rows.keys import such_as, typed
from motet.rows.problems import Problem, few, shown

Asks = Sequence[Mapping[str, Any]]


def outcomes(event: type[Event], asks: Asks) -> list[Problem]:
    """Outcomes that are given although nobody can know them yet."""
    given = [n for n, spec in event.specs.items() if spec.outcome and any(ask.get(n) is not None for ask in asks)]
    known = ", ".join(name for name, spec in event.specs.items() if not spec.outcome)
    help = f"ask with: {known}; what has happened is told by POST /v1/events, in Python by fitted.observe(...)"
    return [Problem(f"{event.__name__}.{name} is an outcome: it is not known when asked", help) for name in given]


def wrong_keys(record: type[Record], asks: Asks, entities: Mapping[type[Entity], Vocabulary]) -> list[Problem]:
    """References that are no single text or number. Beside a text Arrow takes them for texts too."""
    problems: list[Problem] = []
    for name, entity in record.references().items():
        given = {row: ask.get(name) for row, ask in enumerate(asks)}
        wrong = {row: value for row, value in given.items() if not _single(value)}
        if wrong:
            wanted = f"{record.__name__}.{name} needs {typed(entity, entities.get(entity))}"
            quoted = few((f"row {row}: {shown(value)}" for row, value in wrong.items()), len(wrong))
            found = f"none in {counted(len(wrong), 'row')}: {quoted}" if len(asks) > 1 else shown(wrong[0])
            problems.append(Problem(f"{wanted}, and is {found}", such_as(entities.get(entity))))
    return problems


def _single(value: Any) -> bool:
    return not isinstance(value, (bool, bytes, Mapping, list, tuple, set))
