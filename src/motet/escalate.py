"""A cheap model answers, and a strong one where it is worth it: decided request by request, before it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np

from motet.batch import Array, Codes, concat, take
from motet.node import Column, Node, Run, name_of

HELD = 1_000
"""Requests whose share of a budget can be saved up at most, so that a quiet time is not followed by a burst."""
ROUNDING = 1e-9  # ten tenths are one


class Allowance:
    """A budget that is never exceeded: of the requests so far, at most the given share is granted. Threads share it."""

    def __init__(self, share: float) -> None:
        self.share = share
        self._credit = 0.0
        self._lock = Lock()

    def granted(self, ranks: Array, worth: Array, again: bool = False) -> Array:
        """Which requests may be escalated, of those that are worth it, bool [n]: the first by rank.

        ranks: the share of all requests that come before each, so that as many are wanted as the budget allows. Where
        fewer came than that, what was saved lets lower ranks pass: a little hardly any, all that can be saved all of
        them. again: these were counted before, and earn nothing.
        """
        found = np.zeros(len(ranks), np.bool_)
        with self._lock:
            order = np.argsort(ranks, kind="stable")
            saved = self._credit / (self.share * HELD)
            order = order[(worth & (ranks < self.share + (1 - self.share) * saved**2))[order]]
            self._credit += 0.0 if again else self.share * len(ranks)
            spent = min(len(order), int(self._credit + ROUNDING))
            self._credit = min(self._credit - spent, self.share * HELD)
        found[order[:spent]] = True
        return found


@dataclass(frozen=True, eq=False)
class Escalate(Node):
    """The cheap column, and the strong one for the requests at which it is expected to gain enough.

    odds: what a router knows of both before the strong one is asked. price: a gain above it is enough. budget: the
    share of the requests that the strong one is asked about at most, those of the largest gains.
    """

    cheap: Column
    strong: Column
    odds: Column
    price: float | None
    budget: float | None

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (self.cheap, self.strong, self.odds)

    @cached_property
    def among(self) -> frozenset[Column]:
        return frozenset()

    @property
    def outcome(self) -> Column | None:
        return self.cheap.node.outcome if self.strong.node.outcome is None else self.strong.node.outcome

    def config(self) -> str:
        return f"{self.price} {self.budget}"

    def label(self) -> str:
        return f"{name_of(self.cheap)} escalated to {name_of(self.strong)}"

    def parts(self) -> list[tuple[str, Column]]:
        return [("strong", self.strong), ("cheap", self.cheap), ("router", self.odds)]

    def evaluate(self, run: Run) -> Any:
        cheap: Codes = run.value(self.cheap)
        wanted = self._asked(run)
        run.spare(self, self.strong, ~wanted)
        asked = np.flatnonzero(wanted)
        strong: Codes | None = run.some(self.strong, asked) if len(asked) else None
        if strong is None:
            return cheap
        silent = np.zeros(len(cheap), np.bool_)
        silent[asked[strong.codes < 0]] = True
        if silent.any():
            run.note(self.strong, "it gave no label", silent)
        order = np.arange(len(cheap))
        order[wanted & ~silent] = len(cheap) + np.flatnonzero(strong.codes >= 0)
        return take(concat([cheap, strong]), order)

    def _asked(self, run: Run) -> Array:
        """Which requests the strong one is asked about, bool [n]."""
        odds = run.value(self.odds)
        if self.budget is None:
            return odds["gain"] > self.price
        return run.granted(self, odds["rank"], odds["gain"] > 0, self.budget)
