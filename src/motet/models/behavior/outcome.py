"""What a predictor may be asked to predict."""

from __future__ import annotations

from typing import Any

from motet.apply import Fit
from motet.candidates import Candidates, ranked
from motet.column import Category, Column, Number, argument, column, learn
from motet.errors import GraphError, an
from motet.model import Model
from motet.node import event_of, grain_name, item_of, name_of


def outcome(model: Model, target: Any, kinds: tuple[type[Column], ...]) -> Column:
    """The column behind a target. Errors: another kind of column, or one that no event has."""
    wanted = argument(model, target)
    if not isinstance(wanted, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        what = f"{name_of(wanted)}, {an(wanted.kind)}" if isinstance(wanted, Column) else "a whole table"
        help = "target=Query.intent" if Category in kinds else "target=Visit.rating >= 4"
        raise GraphError(f"{model} predicts a {names}, and its target is {what}", help)
    if event_of(wanted.grain) is None:
        raise GraphError(
            f"the target of {model} is {name_of(wanted)}, which no event has",
            help="a target is an outcome: declare it with mt.outcome() in an Event",
        )
    return wanted


def asked_at(target: Column) -> Column:
    """When each training row was asked."""
    return event_of(target.grain).time_column()


def predicted(model: Model, given: dict[str, Any], target: Any, kinds: tuple[type[Column], ...]) -> Number:
    """The number that a model learns to predict from features, one per row of their grain."""
    wanted = outcome(model, target, kinds)
    fit = learn(model, target=wanted, at=asked_at(wanted), **given)
    check_frame(model, fit)
    return column(Number, model, fit, **given)


def ranking(
    model: Model,
    candidates: Candidates,
    given: dict[str, Any],
    target: Any,
    kinds: tuple[type[Column], ...],
    requests: int,
) -> Candidates:
    """The candidates in the order that a model learns from at most so many past requests."""
    wanted = outcome(model, target, kinds)
    at = asked_at(wanted)
    fit = learn(model, target=wanted, among=candidates, requests=requests, at=at, **given)
    return ranked(candidates, column(Number, model, fit, among=candidates, **given))


def check_frame(model: Model, fit: Fit) -> None:
    """Refuses features per item: which items a request is about is for candidates to say."""
    item = item_of(fit.frame)
    if item is not None:
        name = item.__name__
        raise GraphError(
            f"{model} would be asked about every {name}: its features exist once per {grain_name(fit.frame)}",
            help=f"give candidates first: found = mt.retrieve({name}, k=200, by=[...]), then (found, ...)",
        )


def checked(model: Model, name: str, least: int) -> None:
    """Refuses a whole-number setting below what it can mean."""
    value: Any = getattr(model, name)
    if not isinstance(value, int) or value < least:
        raise GraphError(
            f"{type(model).__name__}({name}={value!r}): {name} is a whole number from {least} up",
            help=f"{type(model).__name__}({name}={max(least, 64)})",
        )
