"""The column types and their operators. A field's annotation is its type; a type checker knows both."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_args, get_type_hints

from motet.apply import Apply, Fit, Pick, Whole, Within, aligned_of
from motet.errors import FieldError, GraphError
from motet.escalate import Escalate
from motet.model import Model
from motet.node import (
    C,
    Column,
    Missing,
    check_fallback,
    check_outcomes,
    event_of,
    grain_name,
    item_of,
    name_of,
    union,
    upstream,
)
from motet.operators import Aggregate, Arithmetic, Concat, Dot, Equals, Has, Joined, Lower, Not, RowDot
from motet.router import Router
from motet.worded import worded

K = TypeVar("K", bound=Column)


def column(
    kind: type[K],
    model: Model,
    fit: Fit | None = None,
    among: Column | None = None,
    held_against: Column | None = None,
    **args: Any,
) -> K:
    """The column that a model makes of others: what every model's `__call__` ends with.

    fit: what it learnt, from `learn(...)`. among: the candidates it is confined to. held_against: the outcome that
    an evaluation compares it with, for a model that learns from none.
    args: columns, references, or `Whole(column)` for a table that is read as a whole.
    """
    check_kinds(model, args)
    given = arguments(model, args)
    node = Apply(model, given, fit, among, held_against)
    check_candidates(model, node)
    check_llm(kind, model, node)
    check_crosses(model, node)
    _check_held(model, node)
    return kind.of(node)


def learn(
    model: Model,
    target: Any = None,
    among: Column | None = None,
    requests: int | None = None,
    **args: Any,
) -> Fit:
    """What a model learns from columns and the outcome beside them.

    requests: at most so many past requests are used, drawn at random. Errors: a feature that is an outcome,
    a target of another event.
    """
    given = arguments(model, {**args, **({} if target is None else {"": target})})
    given.pop("", None)
    wanted = None if target is None else argument(model, target)
    if isinstance(wanted, Whole):
        raise GraphError(f"the target of {model} is a whole table", help="give the column: target=Visit.rating >= 4")
    fit = Fit(model, given, wanted, among, requests)
    for arg in given.values():
        _check_known(model, arg.column if isinstance(arg, Whole) else arg)
    _check_target(model, fit)
    return fit


def arguments(model: Model, args: dict[str, Any]) -> dict[str, Column | Whole]:
    """The columns that a model reads, each as the event among them sees it."""
    given = {name: argument(model, arg) for name, arg in args.items()}
    event = event_of(union(aligned_of(given)))
    if event is None:
        return given
    return {name: event.lookup(arg) if isinstance(arg, Column) else arg for name, arg in given.items()}


def argument(model: Model, arg: Any) -> Column | Whole:
    """A column from what a caller may write for one; everything else is refused in words."""
    if isinstance(arg, (Column, Whole)):
        return arg
    reference = getattr(arg, "_reference", None)
    if isinstance(reference, Column):
        return reference
    if isinstance(arg, Late):
        raise GraphError(
            f"{model} reads {name_of(arg.column)}, which comes late and may not come at all",
            help='give it a deadline and something to answer instead: .within(seconds=3, otherwise="")',
        )
    if isinstance(arg, type) and hasattr(arg, "fields"):
        fields = ", ".join(f"{arg.__name__}.{name}" for name in cast(Any, arg).fields)
        raise GraphError(f"{model} reads columns, and {arg.__name__} is a record", help=f"name a field: {fields}")
    raise GraphError(
        f"{model} reads columns, and got {arg!r}",
        help="columns are fields such as Film.title, or what a model made of them",
    )


def check_kinds(model: Model, args: dict[str, Any]) -> None:
    """Refuses what a type checker would have: a column of another kind than the model's `__call__` says it reads."""
    for name, kinds in _kinds(type(model)).items():
        arg = args.get(name)
        if isinstance(arg, Column) and not isinstance(arg, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise GraphError(
                f"{model} reads {name} as {wanted}, and {name_of(arg)} is {arg.kind}",
                help=f"give a column that is {wanted}: a field declared as mt.{kinds[0].__name__}, or one made of it",
            )


@cache
def _kinds(model: type[Model]) -> dict[str, tuple[type[Column], ...]]:
    """The columns that a model's `__call__` takes by name, where its annotations name nothing else."""
    try:
        hints = get_type_hints(cast(Any, model).__call__)
    except (AttributeError, NameError):
        return {}
    found = {name: get_args(hint) or (hint,) for name, hint in hints.items() if name != "return"}
    found = {name: tuple(kind for kind in kinds if kind is not type(None)) for name, kinds in found.items()}
    return {n: kinds for n, kinds in found.items() if kinds and all(_is_column(kind) for kind in kinds)}


def _is_column(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Column)


def _check_known(model: Model, arg: Column) -> None:
    if arg.after:
        event = next(iter(arg.after))
        by = event.first_reference() or "reference"
        raise GraphError(
            f"{model} would read {name_of(arg)}, an outcome of {event.__name__} that is not known when it is asked"
            + _where(arg),
            help=f"read the earlier ones: mt.past({name_of(arg)}, by={event.__name__}.{by})",
        )


def _check_target(model: Model, fit: Fit) -> None:
    if fit.target is None:
        return
    event, asked = event_of(fit.target.grain), event_of(fit.frame - fit.target.grain)
    if event is None:
        raise GraphError(
            f"the target of {model} is {name_of(fit.target)}, which no event has",
            help="a target is an outcome: declare it with mt.outcome() in an Event",
        )
    if asked is not None:
        raise GraphError(
            f"{model} is asked once per {asked.__name__}, and its target {name_of(fit.target)} "
            f"belongs to {event.__name__}",
            help=f"choose an outcome of {asked.__name__}: {', '.join(asked.outcomes()) or 'it has none yet'}",
        )


def _check_held(model: Model, node: Apply) -> None:
    outcome = node.held_against
    if outcome is not None and outcome.grain != node.grain:
        raise GraphError(
            f"{model} exists once per {grain_name(node.grain)}, and its target {name_of(outcome)} once per "
            f"{grain_name(outcome.grain)}",
            help="hold it against an outcome of the event that it reads, or leave the target out",
        )


def check_candidates(model: Model, node: Apply) -> None:
    sets = frozenset[Column]().union(*(c.node.among for c in node.inputs))
    if len(sets) > 1:
        lines = "".join(f"\n  {name_of(c):<10} {c.node.label()}{_where(c)}" for c in sets)
        raise GraphError(
            f"{model} would mix columns of {len(sets)} candidate sets{lines}",
            help="retrieve once, by all of them: mt.retrieve(Film, k=200, by=[taste, meaning @ embed(Visit.query)])",
        )


def check_llm(kind: type[Column], model: Model, node: Apply) -> None:
    event, item = event_of(node.grain), item_of(node.grain)
    if not model.calls_llm or event is None:
        return
    if item is not None and not node.among:
        raise GraphError(
            f"{model} would call a language model for every {item.__name__} of every {event.__name__}",
            help="bound it by few candidates: among=found.top(20), "
            f"or read each {item.__name__} once, without {event.__name__}",
        )
    if not issubclass(kind, Unready) and getattr(model, "seconds", None) is None:
        raise GraphError(
            f"{model} calls a language model while a {event.__name__} waits, and has no deadline",
            help=f"say how long it may take: {type(model).__name__}(..., seconds=2); what is late is missing",
        )


def check_crosses(model: Model, node: Apply) -> None:
    if model.crosses and (event_of(node.grain) is None or item_of(node.grain) is None):
        raise GraphError(
            f"{model} scores items for requests, and here it exists once per {grain_name(node.grain)}",
            help="the event may refer to the items by an outcome only: film: Film = mt.outcome()",
        )


def _where(c: Column) -> str:
    return f"  ({c.line})" if c.line else ""


class Key(Column):
    """What names an entity: a text or a whole number, never missing, never twice."""


class Reference(Column):
    """Which row of an entity an event or another entity points at."""


class Text(Column):
    """Unicode text. Missing is not the same as empty."""

    def __add__(self, other: Text | str) -> Text:
        return _concat([self, other])

    def __radd__(self, other: str) -> Text:
        return _concat([other, self])

    def lower(self) -> Text:
        return column(Text, Lower(), text=self)


def _concat(parts: list[Text | str]) -> Text:
    texts = {f"text{i}": part for i, part in enumerate(parts) if isinstance(part, Text)}
    model = Concat(tuple(p if isinstance(p, str) else None for p in parts))
    return column(Text, model, None, None, **texts)


class Number(Column):
    """A float64; missing is NaN."""

    def __add__(self, other: Number | float) -> Number:
        return _binary(Number, "+", self, other)

    def __radd__(self, other: float) -> Number:
        return _binary(Number, "+", self, other, flipped=True)

    def __sub__(self, other: Number | float) -> Number:
        return _binary(Number, "-", self, other)

    def __rsub__(self, other: float) -> Number:
        return _binary(Number, "-", self, other, flipped=True)

    def __mul__(self, other: Number | float) -> Number:
        return _binary(Number, "*", self, other)

    def __rmul__(self, other: float) -> Number:
        return _binary(Number, "*", self, other, flipped=True)

    def __truediv__(self, other: Number | float) -> Number:
        return _binary(Number, "/", self, other)

    def __rtruediv__(self, other: float) -> Number:
        return _binary(Number, "/", self, other, flipped=True)

    def __ge__(self, other: Number | float) -> Flag:
        return _binary(Flag, ">=", self, other)

    def __le__(self, other: Number | float) -> Flag:
        return _binary(Flag, "<=", self, other)

    def __gt__(self, other: Number | float) -> Flag:
        return _binary(Flag, ">", self, other)

    def __lt__(self, other: Number | float) -> Flag:
        return _binary(Flag, "<", self, other)

    def equals(self, other: Number | float) -> Flag:
        return _binary(Flag, "==", self, other)

    def text(self) -> Text:
        return column(Text, Joined(), value=self)


class Flag(Column):
    """Yes or no; missing is neither."""

    def __and__(self, other: Flag) -> Flag:
        return _binary(Flag, "&", self, other)

    def __or__(self, other: Flag) -> Flag:
        return _binary(Flag, "|", self, other)

    def __invert__(self) -> Flag:
        return column(Flag, Not(), flag=self)


def _binary(kind: type[K], sign: str, left: Column, right: Column | float, flipped: bool = False) -> K:
    if isinstance(right, Column):
        return column(kind, Arithmetic(sign), left=left, right=right)
    return column(kind, Arithmetic(sign, float(right), flipped), left=left)


class Category(Column):
    """One of a set of names."""

    def equals(self, name: str) -> Flag:
        return column(Flag, Equals(name), category=self)

    def text(self) -> Text:
        return column(Text, Joined(), value=self)

    def escalate(
        self,
        strong: Category,
        *by: Number | Flag | Category | Vector,
        price: float | None = None,
        budget: float | None = None,
        requests: int = 2_000,
    ) -> Category:
        """This label, and the strong model's for the requests at which it is likely enough to be right instead.

        A router decides before the strong model is asked, by what the cheap one says and how sure it is of it, by how
        long the texts and histories are that both read, and by what is given besides (`by`). It is fitted on events
        that neither model learns from. Where the strong model fails or is late, this label stays.
        price: what asking the strong model costs more, as a part of what a right label is worth more than a wrong one:
        it is asked where its chance to be right is higher by more than that. budget: the share of requests that it is
        asked about at most, those of the largest gains; while it serves, no process ever exceeds it.
        requests: the strong model is asked about at most so many past events to fit the router.
        Errors: neither or both of price and budget, columns of other grains, no outcome to learn from.
        """
        return _escalate(self, strong, by, price, budget, requests)


ESCALATE = "cheap.escalate(strong, price=0.01), or budget=0.2 for a fifth of the requests"


def _escalate(
    cheap: Category, strong: Category, by: tuple[Column, ...], price: float | None, budget: float | None, requests: int
) -> Category:
    _check_escalation(cheap, strong, price, budget)
    if not isinstance(cast(Any, requests), int) or requests < 1:
        raise GraphError(f"requests={requests!r} teach nothing", help=ESCALATE + ", requests=2_000")
    outcome = strong.node.outcome if cheap.node.outcome is None else cheap.node.outcome
    if not isinstance(outcome, Category):
        raise GraphError(
            f"no outcome says whether {name_of(cheap)} or {name_of(strong)} is right",
            help="say what they predict: Classify()(..., target=Query.intent)",
        )
    fields = [c for c in upstream((cheap, strong)) if c.grain == cheap.grain and not c.node.inputs]
    told = cheap.node.filled if isinstance(cheap.node, Pick) else cheap
    known = {"cheap": told} | {f"text{i}": text for i, text in enumerate(c for c in fields if isinstance(c, Text))}
    pasts = [c for c in upstream((cheap, strong)) if isinstance(c, Sequence) and c.grain == cheap.grain]
    known |= {f"past{i}": past for i, past in enumerate(pasts)} | {f"by{i}": each for i, each in enumerate(by)}
    learnt = learn(Router(), target=outcome, requests=requests, strong=strong, **known)
    odds = column(Column, Router(), learnt, **known)
    return Category.of(Escalate(cheap, strong, odds, price, budget))


def _check_escalation(cheap: Column, strong: Column, price: float | None, budget: float | None) -> None:
    if not isinstance(cast(Any, strong), Column):
        raise GraphError(f"{name_of(cheap)} is escalated to a column, not to {strong!r}", help=ESCALATE)
    check_fallback(strong, cheap, isinstance(strong, Category))
    if event_of(cheap.grain) is None or item_of(cheap.grain) is not None or cheap.grain != strong.grain:
        raise GraphError(
            f"{name_of(cheap)} exists once per {grain_name(cheap.grain)} and {name_of(strong)} once per "
            f"{grain_name(strong.grain)}: what is decided per request exists once per request",
            help="escalate labels of the event that asks",
        )
    check_outcomes(cheap, strong)
    if strong == cheap or any(isinstance(c.node, Escalate) for c in upstream((cheap, strong), fits=False)):
        raise GraphError(
            f"{name_of(cheap)} or {name_of(strong)} is escalated itself, or both are one",
            help="escalate once, from one model to another: " + ESCALATE,
        )
    if (price is None) == (budget is None):
        raise GraphError("an escalation has either a price or a budget", help=ESCALATE)
    if price is not None and not (_is_number(price) and 0 <= price < 1):
        raise GraphError(f"price={price} is no part of what a right label is worth", help=ESCALATE)
    if budget is not None and not (_is_number(budget) and 0 < budget <= 1):
        raise GraphError(f"budget={budget} is no share of the requests", help=ESCALATE)


def _is_number(given: Any) -> bool:
    return isinstance(given, (int, float)) and not isinstance(given, bool)


class Tags(Column):
    """Any number of names out of a set."""

    def has(self, name: str) -> Flag:
        return column(Flag, Has(name), tags=self)

    def text(self, separator: str = ", ") -> Text:
        return column(Text, Joined(separator), value=self)


class Time(Column):
    """An instant: microseconds since 1970 in UTC. A time without a zone is read as UTC."""


class Vector(Column):
    """A row of float32 of fixed width."""

    def __matmul__(self, other: Vector) -> Number:
        """Dot product. Of a vector per item and one per request: a score that can retrieve."""
        if self.grain == other.grain or self.node.among or other.node.among:
            return column(Number, RowDot(), left=self, right=other)
        requests, items = (self, other) if event_of(self.grain) else (other, self)
        if event_of(requests.grain) is None or event_of(items.grain) is not None:
            return column(Number, RowDot(), left=self, right=other)
        return column(Number, Dot(), requests=requests, items=items)


class Image(Column):
    """A picture: the bytes of a file, or the path to one, which is taken never to change."""


class Sequence(Column):
    """What happened before, or was named, oldest first; made by `past`, or by a model that reads names."""

    def count(self) -> Number:
        return column(Number, Aggregate("count"), history=self)

    def sum(self) -> Number:
        return self._of_numbers("sum")

    def mean(self) -> Number:
        """NaN where there is nothing."""
        return self._of_numbers("mean")

    def min(self) -> Number:
        return self._of_numbers("min")

    def max(self) -> Number:
        return self._of_numbers("max")

    def nunique(self) -> Number:
        return column(Number, Aggregate("nunique"), history=self)

    def since(self) -> Number:
        """Seconds since the latest one; NaN where there is none."""
        return column(Number, Aggregate("since"), history=self)

    def _of_numbers(self, how: str) -> Number:
        read = self.node.inputs[0]
        if not isinstance(read, (Number, Flag)):
            raise GraphError(
                f"a history of {name_of(read)} has no {how}: it holds no numbers but a {read.kind} each",
                help=".count(), .nunique() or .since()",
            )
        return column(Number, Aggregate(how), history=self)


class Unready(Column):
    """The hidden column of a Late value."""


class Late(Generic[C]):
    """A value that may come late or never. No column until `.within` says how long to wait for it."""

    def __init__(self, kind: type[C], made: Unready) -> None:
        self.kind, self.column = kind, made

    if not TYPE_CHECKING:  # a type checker sees that it is no column

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or not vars(self):
                return object.__getattribute__(self, name)  # raises what it raises
            raise FieldError(
                f"{name_of(self.column)} is a {self.kind.__name__} that comes late, and has no {name!r} before it is "
                "said how long to wait for it",
                help=f".within(seconds=3, otherwise=None).{name}(...)",
            )

    @worded(lambda late: f"{name_of(late.column)}.within")
    def within(self, *, seconds: float, otherwise: C | str | None, where: Flag | None = None) -> C:
        """The value if it is there in time and not missing, else `otherwise`: a column, a text, None for a missing one.

        where: the requests for which it is worth asking for; all others are answered by `otherwise`, and do not wait.
        """
        if not _is_number(seconds) or not 0 < seconds < math.inf:
            raise GraphError(f"a deadline of {seconds!r} seconds can never be met", help=".within(seconds=3, ...)")
        where = None if where is None else self._condition(where)
        if otherwise is None:
            nothing = self.kind(Missing(self.kind, self.column.grain))
            return self.kind.of(Within(self.column, seconds, nothing, where=where))
        if isinstance(otherwise, Column):
            check_fallback(self.kind.of(self.column.node), otherwise, isinstance(otherwise, self.kind))
            return self.kind.of(Within(self.column, seconds, otherwise, where=where))
        if not issubclass(self.kind, Text) or not isinstance(cast(Any, otherwise), str):
            raise GraphError(
                f"{name_of(self.column)} is a {self.kind.__name__} and cannot fall back on {otherwise!r}",
                help=f"fall back on another {self.kind.__name__}, or None",
            )
        return self.kind.of(Within(self.column, seconds, None, otherwise, where))

    def _condition(self, where: Flag) -> Flag:
        """The condition as the event sees it that asks."""
        event, grain = event_of(self.column.grain), grain_name(self.column.grain)
        if not isinstance(where, Flag):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise GraphError(f"{where!r} is no condition", help=f"give a flag per {grain}: where=number > 0")
        seen = where if event is None else cast(Flag, event.lookup(where))
        if seen.after:
            raise GraphError(
                f"{name_of(where)} is an outcome and cannot say when {name_of(self.column)} is worth asking for",
                help="read earlier ones with mt.past(...)",
            )
        if seen.grain != self.column.grain:
            raise GraphError(
                f"{name_of(self.column)} is asked for once per {grain}, and {name_of(where)} exists once per "
                f"{grain_name(where.grain)}",
                help=f"give a flag per {grain}",
            )
        return seen

    def __repr__(self) -> str:
        return f"Late {self.kind.__name__}({self.column.node.label()} @ {grain_name(self.column.grain)})"
