"""An expensive model teaches a cheap one, and the cheap one takes its place where it is worth more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np
from rich.table import Table as Grid

from motet.apply import Apply, Fit, Pick, Said
from motet.batch import Array, Codes
from motet.column import Category, Column, Flag, Number
from motet.data import Data
from motet.errors import DataError, GraphError
from motet.evaluate import target_of
from motet.evaluation import Evaluation, Labels, Measured, compared
from motet.metrics import intervals, regression
from motet.metrics.intervals import Estimate
from motet.metrics.verdicts import net
from motet.node import Choice, Otherwise, event_of, grain_name, item_of, name_of, upstream
from motet.outline import Outline
from motet.printed import amount, money, printed, warned
from motet.returns.bills import (
    PER,
    Bill,
    about_fit,
    amounts_of,
    billed,
    check_asked,
    forget,
    groups_of,
    labelling,
    llms,
    problems_of,
    replayed,
    unpriced,
)
from motet.returns.worth import HELP, Prices, Worth

if TYPE_CHECKING:
    from motet.fitted import Fitted

C = TypeVar("C", Category, Number)
K = TypeVar("K", bound=Column)
G = TypeVar("G", bound=Outline)
Role = Literal["teacher", "student"]

SAMPLE = 1_000
STUDENT = "mt.Classify()(Review.text, target=Review.mood).label, or mt.Logistic()(Payment.amount, target=Payment.fraud)"
PLACE = "mood = mt.distill(teacher, student), then mt.Graph(mood=mood).distill(train, test, mt.Worth(correct=0.01))"
SMALLER = ("RMSE",)  # metrics of which less is better


@dataclass(frozen=True, eq=False)
class Lesson(Choice):
    """A place that a teacher has or a student whom it has taught. given: the student as its author wrote it."""

    given: Column = field(kw_only=True)

    def label(self) -> str:
        return f"{name_of(self.options[0])}, or {name_of(self.given)} taught by it"

    def undecided(self) -> GraphError:
        return GraphError(
            f"nothing is chosen yet for {self.label()}", help="graph.distill(train, test, worth).graph.fit(train)"
        )

    def parts(self) -> list[tuple[str, Column]]:
        return list(zip(("teacher", "student"), self.options, strict=True))


def taught(student: C, *, by: C, sample: int = SAMPLE) -> C:
    """The student, fitted to what a teacher says of past events instead of what came of them.

    student: what a model says that learns from a target, such as mt.Classify()(Review.text, target=Review.mood).label.
        Where there is no outcome to write, write what the teacher says.
    by: the teacher: labels, or numbers such as a probability. An event of which it says nothing is left out.
    sample: so many past events are put to the teacher at most, drawn at random; what it says is kept in the store.
    Errors: columns of different kinds, or that do not exist once per one event each; a student that learns nothing,
    nothing of that kind, or that reads its teacher; a sample of none.
    """
    made, fit = _checked(student, by, sample)
    learnt = replace(fit, target=type(by)(Said(by)), requests=sample)
    return _with(student, replace(made, fit=learnt, held_against=_truth(by, fit)))


def distill(teacher: C, student: C, *, sample: int = SAMPLE) -> C:
    """One place for an expensive model, or for a cheap one that learns what it says; `graph.distill(...)` says which.

    The rest is as `taught` takes it. Where only one of them says what outcome it predicts, both are held against that.
    Where outcomes are known to learn from, a student may be worth more without a teacher: name it as a third,
    mt.choose(teacher, mt.taught(student, by=teacher), student).
    """
    learnt = taught(student, by=teacher, sample=sample)
    return type(teacher).of(Lesson((_held(teacher, target_of(learnt)), learnt), given=student))


@dataclass(frozen=True)
class Side:
    """The teacher or the student. milliseconds: of processor a request, live. bill: money per 1,000 requests of the
    whole graph with it. quality, value, net: None where nothing tells; the last two are money per 1,000 requests."""

    role: Role
    name: str
    metric: str
    quality: Estimate | None
    milliseconds: float
    bill: Bill
    value: Estimate | None
    net: Estimate | None


@dataclass(frozen=True)
class Distilled(Generic[G]):
    """What a teacher and its student were found to be worth on n requests.

    agreement: of labels, the share of requests of which the student says what the teacher says; of numbers, the share
        of the teacher's variance that the student follows (R squared). Of requests of which the teacher says something.
    lost: by how much the student is worse by the metric, on the same requests; None where no outcome is known.
    gain: the student's net less the teacher's, money per 1,000 requests; None without a Worth or an outcome.
    learnt: how many events the student has learnt from. silent: of how many more the teacher said nothing.
    labelling: of the student's cost, what the teacher took for these, money per 1,000 requests. lasting: over so many
        requests it is spread. chosen: who has the higher net; None where nothing tells.
    problems: what could not be had while measuring, counted.
    """

    teacher: Side
    student: Side
    agreement: Estimate
    lost: Estimate | None
    gain: Estimate | None
    learnt: int
    silent: int
    labelling: float
    lasting: int
    n: int
    with_teacher: G
    with_student: G
    problems: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def chosen(self) -> Role | None:
        if self.gain is None or self.gain.value is None:
            return None
        return "student" if self.gain.value > 0 else "teacher"

    @property
    def graph(self) -> G:
        """The graph in which the one that is worth more has the place. Errors: nothing tells who that is."""
        if self.chosen is None:
            raise DataError(
                "nothing says whether the teacher or the student is worth more: that takes outcomes and a Worth",
                help="found.with_student.fit(train), or found.with_teacher.fit(train)",
            )
        return self.with_student if self.chosen == "student" else self.with_teacher

    def to_dict(self) -> dict[str, Any]:
        kept = {name: value for name, value in vars(self).items() if not isinstance(value, (Side, Outline, Estimate))}
        sides = {side.role: asdict(side) for side in (self.teacher, self.student)}
        figures = {name: vars(self)[name] for name in ("agreement", "lost", "gain")}
        said = {name: None if figure is None else asdict(figure) for name, figure in figures.items()}
        return {**sides, **said, **kept, "chosen": self.chosen}

    def __str__(self) -> str:
        grid = Grid(box=None, pad_edge=False, header_style="bold")
        for name in ("", "", "model", "metric", "quality", "ms a request", "cost", "value", "net"):
            grid.add_column(name, no_wrap=True)
        for side in (self.teacher, self.student):
            mark = "->" if side.role == self.chosen else ""
            figures = (_shown(side.quality), f"{side.milliseconds:.3g}", f"{side.bill.total:.4g}")
            earned = (_earned(side.value, "not known"), _earned(side.net, "not known"))
            grid.add_row(mark, side.role, side.name, side.metric, *figures, *earned)
        return "\n".join([*printed(grid), "", *self._said(), *warned(self.problems)])

    def _said(self) -> list[str]:
        silent = f" (of {self.silent:,} more the teacher said nothing)" if self.silent else ""
        apart = f"of the {amount(self.student.bill.total)} that it costs labelling took {amount(self.labelling)}"
        labelled = apart if self.labelling else "what labelling took is part of its fit's cost"
        lines = [
            f"agreement of the student with the teacher: {self.agreement}",
            f"quality that the student loses: {self.lost or 'no outcome is known'}",
            f"net of the student less the teacher's: {_earned(self.gain, 'nothing tells')}",
            *self._unsure(),
            f"the student learnt from {self.learnt:,} events{silent}; {labelled}",
        ]
        spread = f"what is fitted, labelled and prepared is spread over {self.lasting:,}"
        free = unpriced(self.teacher.bill.total, self.student.bill.total)
        return [*lines, f"n={self.n:,} requests replayed; money per {PER:,} requests; {spread}", *free]

    def _unsure(self) -> list[str]:
        told = self.gain is None or self.gain.sure
        return [] if told else ["these requests do not tell the student from the teacher"]


@dataclass(frozen=True)
class _Replay:
    """One of both graphs, replayed. said: what it answers in the place."""

    fitted: Fitted
    found: Evaluation
    said: Any
    milliseconds: float
    bill: Bill


def distilled_of(
    outline: Outline,
    fit: Callable[[Outline], Fitted],
    test: Data,
    worth: Worth | None,
    prices: Prices,
    like: Callable[[Outline], G],
    relevant: Any = None,
    requests: int | None = None,
) -> Distilled[G]:
    """like: the graph that an outline is. The rest is as `Graph.distill` says."""
    check_asked(test, worth, prices, requests)
    node = _place(outline)
    teacher, student = node.options
    prices.check(llms(outline))
    first, second = (outline.rewritten({node.fingerprint: option.node}) for option in node.options)
    second = Outline.called({**second.names, student.fingerprint: outline.name(node.given)}, **second.outputs)
    one = _replayed(first, fit, teacher, test, prices, relevant, requests)
    other = _replayed(second, fit, student, test, prices, relevant, requests)
    pair = _pair(one, other, teacher, worth)
    ours, theirs = pair or (None, None)
    amounts = amounts_of(one.fitted, test, worth, relevant)
    worths, others = _worths(worth, ours, amounts), _worths(worth, theirs, amounts)
    groups = None if ours is None else groups_of(ours)
    gain = None
    if worths is not None and others is not None:
        gain = net(others - worths, (other.bill - one.bill).total, groups)
    both = None if pair is None else compared(*pair)
    about, lasting = _about(other.fitted, student), requests or one.found.n
    return Distilled(
        _side("teacher", outline.name(teacher), one, both and both[0], worths, groups),
        _side("student", outline.name(node.given), other, both and both[1], others, groups),
        agreement(one.said, other.said, one.found.groups),
        None if both is None else _lost(*both),
        gain,
        about.get("rows", 0),
        about.get("silent", 0),
        PER * labelling(other.fitted, prices) / lasting,
        lasting,
        one.found.n,
        like(first),
        like(second),
        problems_of({"teacher": one.found, "student": other.found}),
    )


def agreement(teacher: Any, student: Any, groups: Array | None) -> Estimate:
    """How far a student says what its teacher says, of what the teacher says anything of; see `Distilled`."""
    if isinstance(teacher, Codes):
        return Labels(student, teacher, groups).figures("")[0].estimate
    known = np.isfinite(teacher) & np.isfinite(student)
    explained = regression.explained_of(student[known], teacher[known])
    return intervals.statistic(explained, int(known.sum()), None if groups is None else groups[known])


def _checked(student: Any, teacher: Any, sample: Any) -> tuple[Apply, Fit]:
    """What gives the student, and what it learns now. Errors: it cannot learn what the teacher says."""
    for role, column in (("teacher", teacher), ("student", student)):
        if not isinstance(column, (Category, Number)):
            what = f"{name_of(column)}, a {column.kind}" if isinstance(column, Column) else repr(column)
            raise GraphError(f"labels or numbers are distilled, and the {role} is {what}", help=STUDENT)
    named, taking = name_of(teacher), name_of(student)
    if type(student) is not type(teacher):
        raise GraphError(
            f"{taking} is a {student.kind} and cannot take the place of {named}, a {teacher.kind}",
            help=f"teach what says a {teacher.kind}: {STUDENT}",
        )
    _check_grain(student, teacher)
    if not isinstance(sample, int) or isinstance(sample, bool) or sample < 1:
        raise GraphError(
            f"a sample of {sample!r} events teaches nothing", help="mt.distill(teacher, student, sample=1_000)"
        )
    made = _root(student)
    if made is None or made.fit is None or made.fit.target is None:
        raise GraphError(f"{taking} learns from no target, and so from no teacher", help=STUDENT)
    if {_source(teacher), teacher.fingerprint} & {c.fingerprint for c in upstream((student,), fits=False)}:
        raise GraphError(
            f"{taking} reads what {named} says, and so cannot do without it",
            help="give the student what the teacher reads, or something cheaper",
        )
    _check_learns(made.fit, teacher)
    return made, made.fit


def _check_grain(student: Column, teacher: Column) -> None:
    if teacher.after:
        raise GraphError(
            f"{name_of(teacher)} is an outcome, and a teacher is asked before anything came",
            help="a model that is fitted to an outcome needs no teacher: target=...",
        )
    event, item = event_of(teacher.grain), item_of(teacher.grain)
    if event is None or item is not None or student.grain != teacher.grain:
        raise GraphError(
            f"a student learns event by event, and {name_of(teacher)} exists once per {grain_name(teacher.grain)},"
            f" {name_of(student)} once per {grain_name(student.grain)}",
            help="both read what one event says, such as Review.text",
        )


def _check_learns(fit: Fit, teacher: Column) -> None:
    """Refuses a target of another kind; a Flag may be learnt from how likely it is."""
    learnt, came = fit.target, target_of(teacher)
    assert learnt is not None
    chance = isinstance(teacher, Number) and isinstance(learnt, Flag) and not isinstance(came, Number)
    if type(learnt) is type(teacher) or (chance and fit.model.learns_chances()):
        return
    raise GraphError(
        f"{fit.model} learns a {learnt.kind}, and {name_of(teacher)} says a {teacher.kind}"
        + (f" that predicts a {came.kind}" if came is not None else ""),
        help="let a model learn it that can: mt.Logistic() learns a probability, mt.LightGBM('regression') any Number",
    )


def _root(column: Column) -> Apply | None:
    """The call of a model that gives a column, or the record that it is a field of."""
    node = column.node.filled.node if isinstance(column.node, Pick) else column.node
    return node if isinstance(node, Apply) else None


def _source(column: Column) -> str:
    return column.node.filled.fingerprint if isinstance(column.node, Pick) else column.fingerprint


def _truth(teacher: Column, fit: Fit) -> Column | None:
    """The outcome that teacher and student are to say, None where neither names one."""
    came = target_of(teacher)
    return fit.target if came is None and fit.target is not None and fit.target.after else came


def _with(column: K, made: Apply) -> K:
    """The column, as another call of its model gives it."""
    node = column.node
    return replace(
        column, node=replace(node, filled=replace(node.filled, node=made)) if isinstance(node, Pick) else made
    )


def _held(column: K, truth: Column | None) -> K:
    """The same column, held against an outcome where it is held against none."""
    node, made = column.node, _root(column)
    if truth is None or target_of(column) is not None:
        return column
    if isinstance(node, Otherwise):
        return replace(column, node=replace(node, strong=_held(node.strong, truth)))
    return column if made is None else _with(column, replace(made, held_against=truth))


def _place(outline: Outline) -> Lesson:
    found = [column.node for column in outline.columns if isinstance(column.node, Choice)]
    if len(found) != 1:
        raise GraphError(f"the graph has {len(found)} places to choose for, and one is asked for", help=PLACE)
    if not isinstance(found[0], Lesson):
        raise GraphError(f"nobody is taught in {found[0].label()}", help=PLACE)
    return found[0]


def _replayed(
    outline: Outline,
    fit: Callable[[Outline], Fitted],
    option: Column,
    test: Data,
    prices: Prices,
    relevant: Any,
    requests: int | None,
) -> _Replay:
    forget(outline)  # labels that live on what the teacher's own fit has embedded would cost the student nothing
    fitted = fit(outline)
    found, live = replayed(fitted, test, relevant, {"said": option})
    spent = sum(cost.cpu_seconds for _, cost in live.values())
    bill = billed(fitted, live, prices, found.n, requests or found.n)
    return _Replay(fitted, found, found.beside["said"], 1e3 * spent / found.n, bill)


def _pair(one: _Replay, other: _Replay, teacher: Column, worth: Worth | None) -> tuple[Measured, Measured] | None:
    """What both are measured by, on the same requests: the first output that reads the place, whose outcomes are known
    and what the worth is about. None where no outcome is known. Errors: the worth is about none of them."""
    answered = one.fitted.outline.answered
    read = [name for name, column in answered.items() if teacher in upstream((column,), fits=False)]
    pairs = [(ours, other.found.measured[name]) for name, ours in one.found.measured.items() if name in read]
    known = [pair for pair in pairs if pair[0].counted.any()]
    able = [pair for pair in known if worth is None or worth.fits(pair[0])]
    if known and not able:
        raise DataError(f"no output that reads the place has outcomes that {worth} is about", help=HELP)
    return able[0] if able else None


def _worths(worth: Worth | None, measured: Measured | None, amounts: Array | None) -> Array | None:
    """Money per 1,000 requests like each of those whose outcome is known."""
    return None if worth is None or measured is None else PER * worth.each(measured, amounts)


def _side(
    role: Role, name: str, replay: _Replay, measured: Measured | None, worths: Array | None, groups: Array | None
) -> Side:
    """measured: on the requests that both sides are compared by."""
    shown = None if measured is None else measured.figures("")[0]
    value = earned = None
    if worths is not None:
        value, earned = (net(worths, cost, groups) for cost in (0.0, replay.bill.total))
    metric, quality = ("", None) if shown is None else (shown.metric, shown.estimate)
    return Side(role, name, metric, quality, replay.milliseconds, replay.bill, value, earned)


def _lost(teacher: Measured, student: Measured) -> Estimate:
    """By how much the student is worse, by the metric that the teacher is known by."""
    metric = teacher.figures("")[0].metric
    better, worse = (student, teacher) if metric in SMALLER else (teacher, student)
    gaps = Evaluation({"": better}, 0).against(Evaluation({"": worse}, 0))
    return next(gap.estimate for gap in gaps if (gap.metric, gap.slice) == (metric, "all"))


def _about(fitted: Fitted, student: Column) -> Mapping[str, Any]:
    """What is said of the student's fit."""
    made = _root(student)
    return {} if made is None or made.fit is None else about_fit(fitted, made.fit)


def _earned(figure: Estimate | None, otherwise: str) -> str:
    return otherwise if figure is None else money(figure)


def _shown(figure: Estimate | None) -> str:
    return "not known" if figure is None else str(figure)
