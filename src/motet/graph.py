"""The graph that a user makes: its outline, and the verbs that begin with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from motet.data import Data
from motet.fitted import Fitted, fit
from motet.outline import Outline
from motet.plan import Plan, plan
from motet.returns.choose import Chosen, chosen_of
from motet.returns.distill import Distilled, distilled_of
from motet.returns.worth import Prices, Worth
from motet.run.runner import Place


class Graph(Outline):
    __doc__ = Outline.__doc__

    def fit(
        self,
        data: Data,
        *,
        store: Path | str | None = None,
        seed: int = 0,
        quiet: bool = False,
        on: Place | None = None,
    ) -> Fitted:
        """Fits every model in order; a model stacked on others sees only what they say of later events.

        store: the folder where states are kept and found again, `.motet` here if not given. on: where the models are
        fitted, if not in this process: mt.Ray().
        Errors: DataError, RunError. What was fitted before an error or Ctrl-C is kept.
        """
        return fit(self, data, store=store, seed=seed, quiet=quiet, on=on)

    def choose(
        self,
        train: Data,
        test: Data,
        worth: Worth,
        prices: Prices | None = None,
        *,
        relevant: Any = None,
        requests: int | None = None,
        store: Path | str | None = None,
        seed: int = 0,
        quiet: bool = False,
    ) -> Chosen[Graph]:
        """Which of the columns in `mt.choose(...)` is worth most: a graph with each is fitted and replayed.

        worth, prices, relevant, requests: as `Fitted.returns` takes them. The winner's graph is `.graph`; events of
        `test` have chosen it, so judge it on later ones. Errors: no place to choose for, or several.
        """

        def made(outline: Outline) -> Fitted:
            return fit(outline, train, store=store, seed=seed, quiet=quiet)

        found = chosen_of(self, made, test, worth, Prices() if prices is None else prices, relevant, requests)
        graph = Graph.called(found.graph.names, **found.graph.outputs)
        return Chosen(found.rows, found.chosen, found.n, graph, found.problems)

    def distill(
        self,
        train: Data,
        test: Data,
        worth: Worth | None = None,
        prices: Prices | None = None,
        *,
        relevant: Any = None,
        requests: int | None = None,
        store: Path | str | None = None,
        seed: int = 0,
        quiet: bool = False,
    ) -> Distilled[Graph]:
        """Whether the student in `mt.distill(teacher, student)` is worth more than its teacher, and what it loses.

        A graph with each is fitted and replayed; what the teacher takes to label the sample is part of what the student
        costs. worth, prices, relevant, requests: as `Fitted.returns` takes them; without a worth, or where `test` knows
        no outcome, nothing is chosen. The winner's graph is `.graph`; judge it on later events.
        Errors: no place of a teacher and a student, or several places.
        """

        def made(outline: Outline) -> Fitted:
            return fit(outline, train, store=store, seed=seed, quiet=quiet)

        def like(outline: Outline) -> Graph:
            return Graph.called(outline.names, **outline.outputs)

        return distilled_of(self, made, test, worth, Prices() if prices is None else prices, like, relevant, requests)

    def plan(self, data: Data | None = None, *, store: Path | str | None = None, measure: bool = False) -> Plan:
        """What is computed when, how often, and at what cost. Computes nothing unless it is told to measure."""
        return plan(self, data, store=store, measure=measure)
