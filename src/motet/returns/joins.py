"""A log of answers, and what their viewers took of them afterwards."""

from __future__ import annotations

import bisect
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from motet.errors import DataError
from motet.record import Event

LARGEST = 1e15  # no time, version or propensity is larger
Taken = Mapping[Any, list[tuple[float, Any]]]
OTHER = "give the log of this graph, of a server that was started with `motet serve --answers FILE`"
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


def lines(path: Path, viewer: str, output: str, key: str) -> tuple[list[Answered], int]:
    """The log's answers, and how many lines are left out since they are there already, letter by letter.

    A last line without its end is being written and is left out. Errors: DataError, naming the line.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}", help=HELP)
    found: list[Answered] = []
    known: set[bytes] = set()
    repeated = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            said = line.strip()
            name = blake2b(said, digest_size=16).digest()
            repeated += name in known
            if not said or name in known:
                continue
            try:
                found.append(_line(said, viewer, output, key))
            except _NotJson as error:
                if line.endswith(b"\n"):
                    raise _wrong(number, path, error) from None
            except ValueError as error:
                raise _wrong(number, path, error) from None
            known.add(name)
    if not found:
        raise DataError(f"{path.name} holds no answer", help=HELP)
    return found, repeated


class _NotJson(ValueError):
    """A line that was cut off, or was never JSON."""


def _wrong(number: int, path: Path, why: ValueError) -> DataError:
    help = "leave the line out: it was cut off, or never written by Motet" if isinstance(why, _NotJson) else OTHER
    return DataError(f"line {number} of {path.name} is no answer: {why}", help=help)


def _line(written: bytes, viewer: str, output: str, key: str) -> Answered:
    """Errors: ValueError, with the reason."""
    try:
        said = json.loads(written)
    except ValueError:
        raise _NotJson("it is no JSON") from None
    answer = _object(said, "answer")
    if output not in answer:
        raise ValueError(f"it answers {', '.join(answer) or 'nothing'}, and no {output!r}")
    items = [_of(item, key) for item in _list(answer[output], output)]
    alone = [True] * len(items)
    ours = alone if said.get("rival") is None else _list(_object(said, "ours").get(output, alone), "ours")
    if len(ours) != len(items):
        raise ValueError(f"it says of {len(ours)} items whose they are, and answers {len(items)}")
    likely = _number(_of(said, "propensity"), "propensity")
    if not 0 < likely <= 1:
        raise ValueError(f"propensity={likely} is not above 0 and at most 1")
    version, rival = int(_number(_of(said, "version"), "version")), said.get("rival")
    keys = {str(_key(item)): bool(mine) for item, mine in zip(items, ours, strict=True)}
    whose = _key(_object(said, "ask").get(viewer))
    return Answered(
        _when(_of(said, "at")), whose, version, likely, keys, None if rival is None else int(_number(rival, "rival"))
    )


def _of(said: Any, name: str) -> Any:
    """A part of a JSON object. Errors: ValueError, it is none, or has no such part."""
    if not isinstance(said, dict):
        raise ValueError(f"{_short(said)} is no JSON object")
    if name not in said:
        raise ValueError(f"it has no {name!r}")
    return cast("Mapping[str, Any]", said)[name]


def _object(said: Any, name: str) -> Mapping[str, Any]:
    found = _of(said, name)
    if not isinstance(found, dict):
        raise ValueError(f"{name}={_short(found)} is no JSON object")
    return cast("Mapping[str, Any]", found)


def _list(said: Any, name: str) -> list[Any]:
    if not isinstance(said, list):
        raise ValueError(f"{name}={_short(said)} is no list of items")
    return cast("list[Any]", said)


def _number(said: Any, name: str) -> float:
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not abs(said) <= LARGEST:
        raise ValueError(f"{name}={_short(said)} is no number")
    return said


def _short(said: Any) -> str:
    """As JSON, cut where it is long."""
    written = json.dumps(said)
    return written if len(written) <= 40 else f"{written[:37]}..."


def _key(said: Any) -> str | None:
    """A key as both sides may write it: 7, 7.0 and "7" are one."""
    if isinstance(said, (list, dict)):
        raise ValueError(f"{_short(said)} is no key")
    if said is None:
        return None
    return str(int(said)) if isinstance(said, float) and said.is_integer() else str(said)


def _when(said: Any) -> float:
    """Seconds since 1970, of such a number or of ISO 8601, without a zone in UTC."""
    try:
        if isinstance(said, str):
            read = datetime.fromisoformat(said)
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
        return float(_number(said, "at"))
    except (ValueError, OverflowError):
        raise ValueError(f"{_short(said)} is no time") from None


def taken(event: type[Event], viewer: str, entity: Any, happened: Iterable[Mapping[str, Any]]) -> tuple[Taken, float]:
    """What each viewer took, in the order of time, and when the last event was. Errors: DataError, naming the line."""
    item = event.happened(entity).node.label().rpartition(".")[2]
    found: defaultdict[Any, list[tuple[float, Any]]] = defaultdict(list)
    end = -math.inf
    for number, row in enumerate(happened, 1):
        try:
            at, whose, what = _when(_of(row, event.time_field())), _key(row.get(viewer)), _key(row.get(item))
        except ValueError as error:
            text = f"line {number} of what happened is no {event.__name__}: {error}"
            raise DataError(text, help=EVENTS) from None
        end = max(end, at)
        if what is not None and whose is not None:
            found[whose].append((at, what))
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
