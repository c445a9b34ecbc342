"""What outcomes are worth and what work costs, in the user's own money. Neither has a default that pretends to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

import numpy as np

from motet.batch import Array
from motet.column import Number
from motet.cost import Cost
from motet.errors import DataError, listed
from motet.evaluation import Answered, Labels, Measured, Predicted
from motet.llm import LLM
from motet.node import upstream

HELP = (
    "mt.Worth(hit=0.02) for items, mt.Worth(caught=Payment.amount, false_alarm=-5.0) for a Flag, "
    "mt.Worth(correct=0.01, wrong=-0.05) for labels"
)
MILLION = 1e6
MOST = 1e15
"""No amount is larger: from here on floats do not hold cents, and soon sums of squares overflow."""
HOUR = 3600.0


def is_amount(given: Any) -> bool:
    """Whether it is a number, NumPy's included, of which sums can be taken."""
    number = isinstance(given, (int, float, np.integer, np.floating)) and not isinstance(given, bool)
    return number and bool(-MOST <= given <= MOST)


def no_amount(name: str, given: Any, help: str) -> DataError:
    """What is said of what `is_amount` refuses."""
    return DataError(f"{f'{name}={given!r}':.60} is no amount, a number of {MOST:g} at most", help=help)


@dataclass(frozen=True)
class Prices:
    """What work costs. cpu_hour: one processor core for an hour. gpu_hour: one GPU for an hour, of language models that
    say how many they take: mt.LLM(..., url=..., gpus=1). tokens: a million tokens read and a million written, by the
    name of the language model; one that runs here and has no price costs its processor time alone."""

    cpu_hour: float = 0.0
    gpu_hour: float = 0.0
    tokens: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])

    def __post_init__(self) -> None:
        tokens: Any = self.tokens
        pairs: Any = [*tokens.values()] if isinstance(tokens, Mapping) else [None]
        named = isinstance(tokens, Mapping) and all(isinstance(name, str) for name in cast("Mapping[Any, Any]", tokens))
        if not named or not all(type(pair) in (tuple, list) and len(pair) == 2 for pair in pairs):
            raise DataError(
                f"tokens={self.tokens!r} are no prices by the name of a language model",
                help='mt.Prices(tokens={"gpt-5-mini": (0.25, 2.0)}), a million tokens read and a million written',
            )
        given: dict[str, Any] = {"cpu_hour": self.cpu_hour, "gpu_hour": self.gpu_hour}
        for name, pair in self.tokens.items():
            given |= {f"tokens[{name!r}] read": pair[0], f"tokens[{name!r}] written": pair[1]}
        for name, price in given.items():
            if not is_amount(price) or price < 0:
                help = 'mt.Prices(cpu_hour=0.04, tokens={"gpt-5-mini": (0.25, 2.0)})'
                raise DataError(f"{f'{name}={price!r}':.60} is no price, a number from 0 to {MOST:g}", help=help)

    def check(self, known: Mapping[str, LLM]) -> None:
        """Errors: a price for a language model that is not there, or for GPUs where none says that it takes one."""
        if self.gpu_hour and not any(llm.gpus for llm in known.values()):
            raise DataError(
                f"gpu_hour={self.gpu_hour} prices nothing: no language model of the graph says that it takes a GPU",
                help='mt.LLM("llama-3", url="http://host:8000/v1", gpus=1)',
            )
        for name in self.tokens.keys() - known:
            raise DataError(f"no language model of the graph is called {name!r}", help=listed(known, name))

    def of(self, cost: Cost, llm: str = "") -> float:
        """What some work has cost. llm: the name of the language model that did it, where one did."""
        read, written = self.tokens.get(llm, (0.0, 0.0))
        tokens = (cost.tokens_in * read + cost.tokens_out * written) / MILLION
        return cost.cpu_seconds / HOUR * self.cpu_hour + cost.gpu_seconds / HOUR * self.gpu_hour + tokens


@dataclass(frozen=True)
class Worth:
    """What outcomes are worth.

    hit: each time that what happened was among the items that were answered.
    caught: each time that what came true had been flagged: an amount, or a Number of the event such as Payment.amount,
        which is nowhere below zero.
    false_alarm: each time that what was flagged did not come true, below zero. One is flagged where that is expected
        to be worth more than not: where the probability times `caught` outweighs the rest of it times `false_alarm`.
        Where no probability is given, nothing is flagged.
    correct, wrong: each label that was right, and each that was not, one that was not given included.
    Errors: nothing is given, or both of what can only be asked of one output; an outcome as what `caught` is.
    """

    hit: float | None = None
    caught: float | Number | None = None
    false_alarm: float = 0.0
    correct: float | None = None
    wrong: float = 0.0

    def __post_init__(self) -> None:
        if [self.hit is None, self.caught is None, self.correct is None].count(False) != 1:
            raise DataError("a Worth says what items are worth, or what a Flag is, or what a label is", help=HELP)
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if value is not None and not is_amount(value) and not (name == "caught" and isinstance(value, Number)):
                raise no_amount(name, value, HELP)
        if (self.wrong and self.correct is None) or (self.false_alarm and self.caught is None):
            raise DataError("a Worth is of one kind: wrong goes with correct, and false_alarm with caught", help=HELP)
        if self.hit is not None and self.hit < 0:
            raise DataError(f"hit={self.hit} would be a loss", help="mt.Worth(hit=0.02)")
        if self.caught is not None and not isinstance(self.caught, Number) and self.caught <= 0:
            raise DataError(f"caught={self.caught} would be no gain", help=HELP)
        if self.caught is not None and self.false_alarm == 0:
            raise DataError("where a false alarm costs nothing, everything is flagged, by any model", help=HELP)
        for name in ("false_alarm", "wrong"):
            if getattr(self, name) > 0:
                raise DataError(f"{name}={getattr(self, name)} would be a gain", help=f"{name}=-0.05")
        if self.correct is not None and self.correct <= self.wrong:
            raise DataError(f"correct={self.correct} is worth no more than wrong={self.wrong}", help=HELP)
        if isinstance(self.caught, Number) and self.caught.after:
            later = next(c for c in upstream((self.caught,), fits=False) if c.after)
            raise DataError(
                f"a Flag is decided by what is caught, {self.caught.node.label()},"
                f" and {later.node.label()} is an outcome: not known then",
                help="an amount that is known before: mt.Worth(caught=Payment.amount, false_alarm=-5.0)",
            )

    def fits(self, measured: Measured) -> bool:
        """Whether it says what this output's outcomes are worth."""
        if self.hit is not None:
            return isinstance(measured, Answered)
        if self.correct is not None:
            return isinstance(measured, Labels)
        return isinstance(measured, Predicted) and measured.is_binary

    def check(self, measured: Measured, name: str = "an output") -> None:
        """Errors: what is to be weighed as a probability is none."""
        if self.caught is None or not isinstance(measured, Predicted):
            return
        said = measured.predicted[~np.isnan(measured.predicted)]
        if len(said) and (said.min() < 0 or said.max() > 1):
            raise DataError(
                f"{name} says {said.min():.4g} to {said.max():.4g}, and a Flag is weighed by a probability, of 0 to 1",
                help='a model that says one: mt.Logistic()(..., target=...) or mt.LightGBM("binary"), or calibrate it',
            )

    def each(self, measured: Measured, amounts: Array | None) -> Array:
        """What each request was worth whose outcome is known, float64. amounts: what each would be worth if caught."""
        if isinstance(measured, Answered):
            assert self.hit is not None
            return np.where(measured.ranks < measured.depth, self.hit, 0.0)
        if isinstance(measured, Labels):
            assert self.correct is not None
            return np.where(measured.right, self.correct, self.wrong)[measured.known]
        self.check(measured)
        assert amounts is not None
        rows = measured.counted
        caught, chance, came = amounts[rows], measured.predicted[rows], measured.outcome[rows]
        flagged = chance * caught + (1 - chance) * self.false_alarm > 0
        return np.where(flagged, np.where(came == 1, caught, self.false_alarm), 0.0)
