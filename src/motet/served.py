"""What versions were worth that answered: their log of answers, joined with what happened afterwards."""

from __future__ import annotations

import bisect
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.table import Table as Grid

from motet.batch import Array
from motet.bills import PER
from motet.errors import DataError, listed
from motet.metrics.experiment import Arm, difference
from motet.metrics.offpolicy import Log, Value, dr, ips, snips
from motet.metrics.sequential import Sequential
from motet.node import item_of
from motet.outline import Outline
from motet.printed import money, printed
from motet.record import Event

Taken = Mapping[Any, list[tuple[float, Any]]]
WITHIN = 86_400.0  # seconds after an answer in which what is taken counts for it
FOLDS = 5  # parts of the viewers, each of which is predicted from the others
PRIOR = 100  # answers at a version's mean worth that the prediction for a segment begins with
SEGMENTS = 6  # by how much a viewer had taken: nothing, 1, 2 to 3, 4 to 7, 8 to 15, more
EVENTS = "give the events that came after the answers, as `motet events --export` writes them: --happened FILE"
HELP = "log answers with `motet serve --answers FILE`, and give the FILE"


@dataclass(frozen=True)
class Answered:
    """One line of the log. items: the keys of what was answered."""

    at: float
    viewer: Any
    version: int
    propensity: float
    items: frozenset[Any]


@dataclass(frozen=True)
class Estimates:
    """What a version would have been worth to everybody, estimated in three ways.

    ips: unbiased, and the widest. snips: as if its answers' weights came to what they should. dr: what viewers like
    each would bring, corrected by what its own answers brought: the narrowest where viewers differ much, unbiased all
    the same.
    """

    ips: Value
    snips: Value
    dr: Value


@dataclass(frozen=True)
class Served:
    """values: of each version, had it answered everybody, per 1,000 requests. differences: of each version to the one
    that answered most, by viewers, per 1,000 requests too. n: answers that are judged. early: answers that are not,
    since the events end before the time in which what is taken counts for them. joined: of so many events, those that
    count for an answer."""

    values: Mapping[int, Estimates]
    differences: Mapping[int, Sequential]
    most: int
    n: int
    early: int
    events: int
    joined: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        grid = Grid(box=None, pad_edge=False, header_style="bold")
        for name in ("version", "IPS", "SNIPS", "doubly robust", "worth"):
            grid.add_column(name, no_wrap=True)
        for number, each in self.values.items():
            said = (money(value.estimate) for value in (each.ips, each.snips, each.dr))
            grid.add_row(str(number), *said, f"{each.snips.effective:,.0f} rows")
        lines = [f"version {one} less version {self.most}: {gap}" for one, gap in self.differences.items()]
        joined = f"{self.joined:,} of {self.events:,} events count for an answer"
        early = f"; {self.early:,} answers left out: their time was not over when the events end" if self.early else ""
        said = f"n={self.n:,} answers; {joined}{early}; money per {PER:,} requests"
        return "\n".join([*printed(grid, width=160), "", *lines, "", said])


def served(
    outline: Outline,
    answers: Path,
    happened: Iterable[Mapping[str, Any]],
    hit: float,
    *,
    output: str | None = None,
    within: float = WITHIN,
) -> Served:
    """Judges the versions in a log of answers.

    happened: events of the graph's kind with their outcomes, as `motet events --export` writes them. hit: what it is
    worth that one of the items that were answered is taken within so many seconds by who had asked. What is taken
    counts for one answer, the latest before it that held the item.
    output: which of the outputs counts, if not given the first that answers items.
    Errors: DataError for a log that is damaged, has no propensities or does not support what is asked of it, and for
    events of which none counts for any answer.
    """
    event, name = outline.event, _output(outline, output)
    entity = item_of(outline.answered[name].grain)
    taken, end = _taken(event, entity, happened)
    logged = _lines(answers, event.first_reference(), name, entity.key_field())
    hits, joined = _joined(logged, taken, within)
    events = sum(len(rows) for rows in taken.values())
    if not joined:
        raise _nothing_joins(logged, taken, within)
    over = np.array([line.at + within <= end for line in logged])
    if not over.any():
        what = f"the events end before {within:g} s have passed since any of the {len(logged):,} answers"
        raise DataError(what, help="export the events later, or give a shorter time: --within 1h")
    lines = [line for line, told in zip(logged, over, strict=True) if told]
    worth = hit * hits[over]
    versions = np.array([line.version for line in lines])
    propensities = np.array([line.propensity for line in lines])
    viewers = np.array([str(line.viewer) for line in lines])
    segments = _segments(logged, taken)[over]
    numbers, counts = np.unique(versions, return_counts=True)
    most = int(numbers[counts.argmax()])

    def arm(number: int) -> Arm:
        mine = versions == number
        return Arm(PER * worth[mine], viewers[mine])

    def value(number: int) -> Estimates:
        mine = versions == number
        try:
            log = Log(PER * worth, propensities, mine.astype(np.float64), viewers, span=(0.0, PER * hit))
        except DataError as error:
            raise DataError(f"what version {number} is worth cannot be told: {error.what}", help=error.help) from None
        # For an answer of its own what is predicted of it and of what it would have answered is the same; the others'
        # weigh nothing.
        expected = _expected(PER * worth, mine, segments, viewers)
        return Estimates(ips(log), snips(log), dr(log, expected, expected))

    others = [int(number) for number in numbers if number != most]
    share = {int(number): float(propensities[versions == number].mean()) for number in numbers}
    gaps = {one: difference(arm(one), arm(most), share=share[one] / (share[one] + share[most])) for one in others}
    values = {int(number): value(int(number)) for number in numbers}
    return Served(values, gaps, most, len(lines), len(logged) - len(lines), events, joined)


def _output(outline: Outline, output: str | None) -> str:
    items = [name for name, column in outline.answered.items() if item_of(column.grain) is not None]
    if not items or (output is not None and output not in items):
        raise DataError(f"{output or 'no output'} answers items, which can be taken", help=listed(items, output or ""))
    return output or items[0]


def _lines(path: Path, viewer: str | None, output: str, key: str) -> list[Answered]:
    """The log's answers. Errors: DataError, naming the line."""
    if not path.is_file():
        raise DataError(f"there is no file {path.name}", help=HELP)
    found: list[Answered] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                found.append(_line(json.loads(line), viewer, output, key))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                raise DataError(f"line {number} of {path.name} is no answer: {error!r}", help=HELP) from None
    if not found:
        raise DataError(f"{path.name} holds no answer", help=HELP)
    return found


def _line(said: Any, viewer: str | None, output: str, key: str) -> Answered:
    items = cast("Sequence[Mapping[str, Any]]", said["answer"][output])
    keys = frozenset(item[key] for item in items)
    whose = said["ask"].get(viewer) if viewer else None
    hash(whose)
    likely = float(said["propensity"])
    if not 0 < likely <= 1:
        raise ValueError(f"propensity={likely} is not above 0 and at most 1")
    return Answered(_when(said["at"]), whose, int(said["version"]), likely, keys)


def _when(said: Any) -> float:
    """Seconds since 1970, of such a number or of ISO 8601, without a zone in UTC."""
    if isinstance(said, str):
        read = datetime.fromisoformat(said)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(said):
        raise ValueError(f"{said} is no time")
    return float(said)


def _taken(event: type[Event], entity: Any, happened: Iterable[Mapping[str, Any]]) -> tuple[Taken, float]:
    """What each viewer took, in the order of time, and when the last event was. Errors: DataError, naming the line."""
    viewer, item = event.first_reference(), event.happened(entity).node.label().rpartition(".")[2]
    found: defaultdict[Any, list[tuple[float, Any]]] = defaultdict(list)
    end = -math.inf
    for number, row in enumerate(happened, 1):
        try:
            at, whose, what = _when(row[event.time_field()]), row.get(viewer) if viewer else None, row.get(item)
            end = max(end, at)
            hash(what)
            if what is not None:
                found[whose].append((at, what))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise DataError(f"line {number} of what happened is no {event.__name__}: {error!r}", help=EVENTS) from None
    for rows in found.values():
        rows.sort(key=lambda row: row[0])
    return found, end


def _joined(lines: Sequence[Answered], taken: Taken, within: float) -> tuple[Array, int]:
    """Which answers something was taken for, bool [n], and how many events that were."""
    asked: defaultdict[Any, list[int]] = defaultdict(list)
    for row in sorted(range(len(lines)), key=lambda row: lines[row].at):
        asked[lines[row].viewer].append(row)
    hits, joined = np.zeros(len(lines), np.bool_), 0
    for viewer, events in taken.items():
        mine = asked.get(viewer, [])
        for at, item in events:
            first = bisect.bisect_left(mine, at - within, key=lambda row: lines[row].at)
            last = bisect.bisect_left(mine, at, key=lambda row: lines[row].at)
            held = next((row for row in reversed(mine[first:last]) if item in lines[row].items), None)
            if held is not None:
                hits[held] = True
                joined += 1
    return hits, joined


def _nothing_joins(lines: Sequence[Answered], taken: Taken, within: float) -> DataError:
    """One key of each says whether they are written alike."""
    count = sum(len(rows) for rows in taken.values())
    line = next((line for line in lines if line.items), lines[0])
    shown = f"an answer was to {line.viewer!r} with {next(iter(line.items), None)!r}"
    if taken:
        viewer, rows = next(iter(taken.items()))
        shown += f", an event is of {viewer!r} with {rows[0][1]!r}"
    what = f"none of {count:,} events took what one of {len(lines):,} answers held, within {within:g} s of it: {shown}"
    return DataError(what, help=EVENTS)


def _segments(lines: Sequence[Answered], taken: Taken) -> Array:
    """Which kind of viewer each answer went to: by how often one had taken something before one's first answer, which
    no version can have changed. int64 [n]."""
    first: dict[Any, float] = {}
    for line in lines:
        first[line.viewer] = min(line.at, first.get(line.viewer, line.at))
    before = {
        viewer: bisect.bisect_right(taken.get(viewer, []), at, key=lambda row: row[0]) for viewer, at in first.items()
    }
    return np.array([min(before[line.viewer].bit_length(), SEGMENTS - 1) for line in lines])


def _expected(worth: Array, mine: Array, segments: Array, viewers: Array) -> Array:
    """What a version's answer would be worth to each row's viewer, as the other viewers of that segment tell: float64
    [n]. mine: its own answers, which it is learnt from."""
    kinds = np.unique(viewers, return_inverse=True)[1]
    folds = np.random.default_rng(0).permutation(kinds.max() + 1)[kinds] % FOLDS
    expected = np.zeros(len(worth))
    for fold in range(FOLDS):
        here, others = folds == fold, mine & (folds != fold)
        usual = worth[others].mean() if others.any() else 0.0
        seen = np.bincount(segments[others], minlength=SEGMENTS)
        sums = np.bincount(segments[others], worth[others], SEGMENTS)
        expected[here] = ((sums + PRIOR * usual) / (seen + PRIOR))[segments[here]]
    return expected
