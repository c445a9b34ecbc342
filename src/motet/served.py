"""What versions were worth that answered: their log of answers, joined with what happened afterwards."""

from __future__ import annotations

import bisect
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
    that answered most, by viewers, per 1,000 requests too."""

    values: Mapping[int, Estimates]
    differences: Mapping[int, Sequential]
    most: int
    n: int

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
        said = f"n={self.n:,} answers; money per {PER:,} requests"
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
    worth that one of the items that were answered is taken within so many seconds by who had asked.
    output: which of the outputs counts, if not given the first that answers items.
    Errors: DataError for a log that is damaged, has no propensities or does not support what is asked of it.
    """
    event, name = outline.event, _output(outline, output)
    entity = item_of(outline.answered[name].grain)
    taken = _taken(event, entity, happened)
    lines = _lines(answers, event.first_reference(), name, entity.key_field())
    worth = np.array([hit * _hit(line, taken, within) for line in lines])
    versions = np.array([line.version for line in lines])
    propensities = np.array([line.propensity for line in lines])
    viewers = np.array([str(line.viewer) for line in lines])
    segments = _segments(lines, taken)
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
    return Served({int(number): value(int(number)) for number in numbers}, gaps, most, len(lines))


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
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"line {number} of {path.name} is no answer: {error!r}", help=HELP) from None
    if not found:
        raise DataError(f"{path.name} holds no answer", help=HELP)
    return found


def _line(said: Any, viewer: str | None, output: str, key: str) -> Answered:
    items = cast("Sequence[Mapping[str, Any]]", said["answer"][output])
    keys = frozenset(item[key] for item in items)
    whose = said["ask"].get(viewer) if viewer else None
    return Answered(float(said["at"]), whose, int(said["version"]), float(said["propensity"]), keys)


def _taken(event: type[Event], entity: Any, happened: Iterable[Mapping[str, Any]]) -> Taken:
    """What each viewer took, in the order of time."""
    viewer, item = event.first_reference(), event.happened(entity).node.label().rpartition(".")[2]
    found: defaultdict[Any, list[tuple[float, Any]]] = defaultdict(list)
    for row in happened:
        if row.get(item) is not None:
            found[row.get(viewer) if viewer else None].append((float(row[event.time_field()]), row[item]))
    for rows in found.values():
        rows.sort(key=lambda row: row[0])
    return found


def _hit(line: Answered, taken: Taken, within: float) -> bool:
    rows = taken.get(line.viewer, [])
    first = bisect.bisect_right(rows, line.at, key=lambda row: row[0])
    last = bisect.bisect_right(rows, line.at + within, key=lambda row: row[0])
    return any(item in line.items for _, item in rows[first:last])


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
