"""A log of answers, and what their viewers took of them afterwards."""

from __future__ import annotations

import bisect
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from motet.errors import DataError
from motet.record import Event

Taken = Mapping[Any, list[tuple[float, Any]]]
EVENTS = "give the events that came after the answers, as `motet events --export` writes them: --happened FILE"
HELP = "log answers with `motet serve --answers FILE`, and give the FILE"


@dataclass(frozen=True)
class Answered:
    """One line of the log. items: the keys of what was answered, each with whether the version itself had put it there.
    rival: the version whose items took turns with its own, None where it answered alone."""

    at: float
    viewer: str | None
    version: int
    propensity: float
    items: Mapping[str, bool]
    rival: int | None


def lines(path: Path, viewer: str, output: str, key: str) -> list[Answered]:
    """The log's answers. Errors: DataError, naming the line."""
    if not path.is_file():
        raise DataError(f"there is no file {path.name}", help=HELP)
    found: list[Answered] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                found.append(_line(json.loads(line), viewer, output, key))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                raise DataError(f"line {number} of {path.name} is no answer: {_why(error)}", help=HELP) from None
    if not found:
        raise DataError(f"{path.name} holds no answer", help=HELP)
    return found


def _line(said: Any, viewer: str, output: str, key: str) -> Answered:
    items = cast("Sequence[Mapping[str, Any]]", said["answer"][output])
    rival = said.get("rival")
    ours = cast("Mapping[str, Sequence[bool]]", said.get("ours", {})).get(output, [True] * len(items))
    keys = {str(_key(item[key])): bool(mine) for item, mine in zip(items, ours, strict=True)}
    whose = _key(said["ask"].get(viewer))
    likely = float(said["propensity"])
    if not 0 < likely <= 1:
        raise ValueError(f"propensity={likely} is not above 0 and at most 1")
    return Answered(_when(said["at"]), whose, int(said["version"]), likely, keys, None if rival is None else int(rival))


def _why(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def _key(said: Any) -> str | None:
    """A key as both sides may write it: 7, 7.0 and "7" are one."""
    if isinstance(said, (list, dict)):
        raise ValueError(f"{said} is no key")
    if said is None:
        return None
    return str(int(said)) if isinstance(said, float) and said.is_integer() else str(said)


def _when(said: Any) -> float:
    """Seconds since 1970, of such a number or of ISO 8601, without a zone in UTC."""
    if isinstance(said, str):
        read = datetime.fromisoformat(said)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(said):
        raise ValueError(f"{said} is no time")
    return float(said)


def taken(event: type[Event], viewer: str, entity: Any, happened: Iterable[Mapping[str, Any]]) -> tuple[Taken, float]:
    """What each viewer took, in the order of time, and when the last event was. Errors: DataError, naming the line."""
    item = event.happened(entity).node.label().rpartition(".")[2]
    found: defaultdict[Any, list[tuple[float, Any]]] = defaultdict(list)
    end = -math.inf
    for number, row in enumerate(happened, 1):
        try:
            at, whose, what = _when(row[event.time_field()]), _key(row.get(viewer)), _key(row.get(item))
            end = max(end, at)
            if what is not None and whose is not None:
                found[whose].append((at, what))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            text = f"line {number} of what happened is no {event.__name__}: {_why(error)}"
            raise DataError(text, help=EVENTS) from None
    for rows in found.values():
        rows.sort(key=lambda row: row[0])
    return found, end


def joined(lines: Sequence[Answered], taken: Taken, within: float) -> tuple[list[set[Any]], int]:
    """What was taken of each answer, and how many events that were."""
    asked: defaultdict[Any, list[int]] = defaultdict(list)
    for row in sorted(range(len(lines)), key=lambda row: lines[row].at):
        asked[lines[row].viewer].append(row)
    found, joined = [set[Any]() for _ in lines], 0
    for viewer, events in taken.items():
        mine = asked.get(viewer, [])
        for at, item in events:
            first = bisect.bisect_left(mine, at - within, key=lambda row: lines[row].at)
            last = bisect.bisect_left(mine, at, key=lambda row: lines[row].at)
            held = next((row for row in reversed(mine[first:last]) if item in lines[row].items), None)
            if held is not None:
                found[held].add(item)
                joined += 1
    return found, joined


def nothing_joins(lines: Sequence[Answered], taken: Taken, within: float) -> DataError:
    """One key of each says whether they are written alike."""
    count = sum(len(rows) for rows in taken.values())
    line = next((line for line in lines if line.items), lines[0])
    shown = f"an answer was to {line.viewer!r} with {next(iter(line.items), None)!r}"
    if taken:
        viewer, rows = next(iter(taken.items()))
        shown += f", an event is of {viewer!r} with {rows[0][1]!r}"
    what = f"none of {count:,} events took what one of {len(lines):,} answers held, within {within:g} s of it: {shown}"
    return DataError(what, help=EVENTS)


def before(lines: Sequence[Answered], taken: Taken) -> list[int]:
    """How often each answer's viewer had taken something before the first answer, which no version can have changed."""
    first: dict[Any, float] = {}
    for line in lines:
        first[line.viewer] = min(line.at, first.get(line.viewer, line.at))
    before = {
        viewer: bisect.bisect_right(taken.get(viewer, []), at, key=lambda row: row[0]) for viewer, at in first.items()
    }
    return [before[line.viewer] for line in lines]
