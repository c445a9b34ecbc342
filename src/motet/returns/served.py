"""What versions were worth that answered: their log of answers, joined with what happened afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.table import Table as Grid

from motet.batch import Array
from motet.errors import DataError, listed
from motet.metrics.experiment import Arm, difference
from motet.metrics.interleaving import credit, preference
from motet.metrics.offpolicy import Log, Value, dr, ips, snips
from motet.metrics.sequential import Sequential
from motet.node import item_of
from motet.outline import Outline
from motet.printed import money, printed
from motet.returns import joins
from motet.returns.bills import PER
from motet.returns.joins import Answered
from motet.returns.worth import is_amount

WITHIN = 86_400.0  # seconds after an answer in which what is taken counts for it
FOLDS = 5  # parts of the viewers, each of which is predicted from the others
PRIOR = 100  # answers at a version's mean worth that the prediction for a segment begins with
SEGMENTS = 6  # by how much a viewer had taken: nothing, 1, 2 to 3, 4 to 7, 8 to 15, more


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
class Preference:
    """Of two versions whose items took turns in one list: the share of answers of which more of the version's own were
    taken, less the share of which more of its rival's were."""

    version: int
    rival: int
    lead: Sequential

    def __str__(self) -> str:
        return f"version {self.version} preferred to version {self.rival}, in one list: {self.lead}"


@dataclass(frozen=True)
class Served:
    """values: of each version, had it answered everybody, per 1,000 requests. differences: of each version to the one
    that answered most, by viewers, per 1,000 requests too; what viewers had done before is taken out of it (CUPED).
    preferences: of versions that were interleaved, of answers which are in none of the above. refused: why some of
    the above cannot be told, where the others are all the same. n: answers that are
    judged. early: answers that are not, since the events end before the time in which what is taken counts for them.
    nobody: answers that are not, since they name nobody whom an event could be of. repeated: lines of the log that are
    there already, letter by letter, and count once. joined: of so many events, those that count for an answer."""

    values: Mapping[int, Estimates]
    differences: Mapping[int, Sequential]
    preferences: tuple[Preference, ...]
    refused: str
    most: int | None
    n: int
    early: int
    nobody: int
    repeated: int
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
        lines = [f"version {one} less version {self.most}: {_gap(gap)}" for one, gap in self.differences.items()]
        joined = f"{self.joined:,} of {self.events:,} events count for an answer"
        lines += [*([self.refused] if self.refused else []), *(str(each) for each in self.preferences)]
        early = f"; {self.early:,} answers left out: their time was not over when the events end" if self.early else ""
        nobody = f"; {self.nobody:,} answers left out: they name nobody" if self.nobody else ""
        repeated = f"; {self.repeated:,} lines left out: they are in the log already" if self.repeated else ""
        said = f"n={self.n:,} answers; {joined}{early}{nobody}{repeated}; money per {PER:,} requests"
        return "\n".join([*(printed(grid) if self.values else []), "", *lines, "", said])


def _gap(found: Sequential) -> str:
    """Money at one look and at any."""
    return f"{money(found.once)} at one look, {money(found.anytime)} at any, n={found.once.n:,}"


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
    events of which none counts for any answer or that refer to nobody.
    """
    if not is_amount(hit) or hit <= 0:
        raise DataError(f"hit={hit!r} is no amount that something taken is worth", help="hit=0.02, --hit 0.02")
    event, name = outline.event, _output(outline, output)
    entity, viewer = item_of(outline.answered[name].grain), event.first_reference()
    if viewer is None:
        said = f"{event.__name__} refers to nobody, so nothing says whose answer it was that something was taken of"
        raise DataError(said, help="viewer: Viewer")
    taken, end = joins.taken(event, viewer, entity, happened)
    whole, repeated = joins.lines(answers, viewer, name, entity.key_field())
    logged = [line for line in whole if line.viewer is not None]
    chosen, joined = joins.joined(logged, taken, within)
    events = sum(len(rows) for rows in taken.values())
    if not joined:
        raise joins.nothing_joins(whole, taken, within)
    over = [line.at + within <= end for line in logged]
    if not any(over):
        what = f"the events end before {within:g} s have passed since any of the {len(logged):,} answers"
        raise DataError(what, help="export the events later, or give a shorter time: --within 1h")
    rows = list(zip(logged, chosen, joins.before(logged, taken), over, strict=True))
    judged = [(line, items, before) for line, items, before, told in rows if told]
    alone = [row for row in judged if row[0].rival is None]
    preferences = _preferences([(line, items) for line, items, _ in judged if line.rival is not None])
    values, differences, most, refused = _alone(alone, hit, interleaved=len(judged) - len(alone))
    return Served(
        values,
        differences,
        preferences,
        refused,
        most,
        len(judged),
        len(logged) - len(judged),
        len(whole) - len(logged),
        repeated,
        events,
        joined,
    )


def _alone(
    rows: Sequence[tuple[Answered, set[Any], int]], hit: float, interleaved: int
) -> tuple[Mapping[int, Estimates], Mapping[int, Sequential], int | None, str]:
    """What versions are worth, how they differ, which one answered most, and why these cannot be told: an error, unless
    it is since other answers were interleaved."""
    if not rows:
        return {}, {}, None, ""
    compared = _Compared.of(rows, hit)
    try:
        values = compared.values()
    except DataError:
        if not interleaved:
            raise
        left = f"{interleaved:,} of {len(rows) + interleaved:,} answers were interleaved, and are left out of that"
        return {}, {}, compared.most, f"what versions are worth alone cannot be told: {left}"
    try:
        return values, compared.differences(), compared.most, ""
    except DataError as error:
        return values, {}, compared.most, f"versions cannot be compared by viewers: {error.what}"


@dataclass(frozen=True)
class _Compared:
    """Answers that one version gave alone, all [n]. worth: money per 1,000 requests. before: how much the viewer had
    taken before the first answer."""

    hit: float
    worth: Array
    versions: Array
    propensities: Array
    viewers: Array
    before: Array

    @staticmethod
    def of(rows: Sequence[tuple[Answered, set[Any], int]], hit: float) -> _Compared:
        lines = [line for line, _, _ in rows]
        return _Compared(
            hit,
            PER * hit * np.array([bool(items) for _, items, _ in rows]),
            np.array([line.version for line in lines]),
            np.array([line.propensity for line in lines]),
            np.array([str(line.viewer) for line in lines]),
            np.array([before for _, _, before in rows]),
        )

    @property
    def numbers(self) -> list[int]:
        return np.unique(self.versions).tolist()

    @property
    def most(self) -> int:
        return max(self.numbers, key=lambda number: int((self.versions == number).sum()))

    def values(self) -> dict[int, Estimates]:
        return {number: self._value(number) for number in self.numbers}

    def differences(self) -> dict[int, Sequential]:
        most = self.most
        return {
            one: difference(self._arm(one), self._arm(most), share=self._share(one, most))
            for one in self.numbers
            if one != most
        }

    def _share(self, one: int, most: int) -> float:
        """The part of both versions' answers that was to be the one's; it may have been another at another time."""
        mine, theirs = self.versions == one, self.versions == most
        if (mine | theirs).all():
            return float(np.where(mine, self.propensities, 1 - self.propensities).mean())
        likely, other = (float(self.propensities[rows].mean()) for rows in (mine, theirs))
        return likely / (likely + other)

    def _arm(self, number: int) -> Arm:
        mine = self.versions == number
        return Arm(self.worth[mine], self.viewers[mine], np.log1p(self.before[mine]))

    def _value(self, number: int) -> Estimates:
        mine = self.versions == number
        try:
            span = (0.0, PER * self.hit)
            log = Log(self.worth, self.propensities, mine.astype(np.float64), self.viewers, span=span)
        except DataError as error:
            raise DataError(f"what version {number} is worth cannot be told: {error.what}", help=error.help) from None
        # For an answer of its own what is predicted of it and of what it would have answered is the same; the others'
        # weigh nothing.
        expected = _expected(self.worth, mine, _segments(self.before), self.viewers)
        return Estimates(ips(log), snips(log), dr(log, expected, expected))


def _preferences(rows: Sequence[tuple[Answered, set[Any]]]) -> tuple[Preference, ...]:
    """Of each pair of versions that were interleaved."""
    pairs = sorted({(line.version, cast(int, line.rival)) for line, _ in rows})
    found: list[Preference] = []
    for version, rival in pairs:
        mine = [(line, items) for line, items in rows if (line.version, line.rival) == (version, rival)]
        credits = [credit([*line.items.values()], [item in items for item in line.items]) for line, items in mine]
        viewers = np.array([str(line.viewer) for line, _ in mine])
        found.append(Preference(version, rival, preference(np.array(credits), viewers)))
    return tuple(found)


def _output(outline: Outline, output: str | None) -> str:
    items = [name for name, column in outline.answered.items() if item_of(column.grain) is not None]
    if not items or (output is not None and output not in items):
        what = "no output answers items" if output is None else f"{output!r} is no output that answers items"
        raise DataError(f"{what}, and nothing else can be taken", help=listed(items, output or ""))
    return output or items[0]


def _segments(before: Array) -> Array:
    """Which kind of viewer each answer went to, int64 [n]."""
    return np.array([min(int(count).bit_length(), SEGMENTS - 1) for count in before])


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
