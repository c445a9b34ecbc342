"""A fitted graph: the only thing that evaluates, prepares and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from motet import snapshot
from motet.answer import Answer, answer
from motet.apply import Apply, Fit
from motet.cost import Cost
from motet.data import Data, check_data
from motet.errors import DataError, RunError, listed
from motet.evaluate import Evaluation, evaluate
from motet.fit import Fitting, States
from motet.meter import Meter
from motet.node import Choice, Column
from motet.outline import Outline
from motet.prepare import Prepared, prepare
from motet.progress import Progress
from motet.record import Event
from motet.returns import Returns, returns
from motet.returns.escalation import Escalation, escalation
from motet.returns.worth import Prices, Worth
from motet.run.context import Context
from motet.run.runner import Local, Place, Spent
from motet.store import Store
from motet.store.folder import existing_store, open_store
from motet.table import parse
from motet.why import rankings, why


class Fitted:
    """What a graph's models have learnt, on data as of a time.

    Made by `Graph.fit` or, from a published version, by `published`. version: its number, None where there is none.
    seed: that it was fitted with.
    """

    def __init__(
        self,
        outline: Outline,
        data: Data,
        states: States,
        store: Store,
        quiet: bool = False,
        prepared: Mapping[str, str] | None = None,
        version: int | None = None,
        seed: int = 0,
    ) -> None:
        self.outline, self.data, self.states, self.store = outline, data, states, store
        self.train, self.prepared, self.version, self.seed = data, prepared or {}, version, seed
        self.progress = Progress(quiet)
        self.meter = Meter(store)

    def evaluate(
        self,
        test: Data,
        *,
        relevant: Any = None,
        spent: Spent = lambda node, cost: None,
        beside: Mapping[str, Column] | None = None,
    ) -> Evaluation:
        """Replays the asked events of `test` and measures every output, with intervals, warm and cold apart.

        relevant: a Flag of the event; where given, only events for which it holds count as wanted
        (Visit.rating >= 4). spent: told what each call of a model took. beside: columns of the event whose values are
        handed back as they are.
        A ranking misses where nothing happened; where a Flag, a number or a label is missing nothing is measured.
        Errors: DataError when `test` asks nothing, or `relevant` holds of nothing.
        """
        check_data("test", test)
        with self.progress.bar("evaluate") as tick:
            found = evaluate(self.outline, self.context(test, spent=spent), self.train, relevant, tick, beside)
        self.meter.keep()
        return found

    def returns(
        self,
        test: Data,
        worth: Worth | None = None,
        prices: Prices | None = None,
        *,
        output: str | None = None,
        relevant: Any = None,
        requests: int | None = None,
    ) -> Returns:
        """What each optional model brings and costs, against what its `otherwise` declares, on the events of `test`.

        For each, a graph with the other one in its place is fitted on the same data and replayed on the same requests.
        Where the output ranks items, those for what had happened in training (warm) and what had not (cold) also apart.
        worth: what outcomes are worth; without it metric and cost stand side by side, and nothing is decided. prices:
        what work costs. output: the one that is measured, if not given the first that the worth is about. relevant: as
        `evaluate` takes it. requests: over so many what is fitted and prepared is spread; if not given those of `test`.
        Errors: DataError where nothing is optional, or the worth or a price is about something that is not there.
        """

        def refit(outline: Outline) -> Fitted:
            return fit(outline, self.train, store=self.store.root, seed=self.seed, quiet=self.progress.quiet)

        return returns(self, refit, test, worth, prices, output=output, relevant=relevant, requests=requests)

    def escalation(self, test: Data, prices: Prices | None = None, *, name: str | None = None) -> Escalation:
        """What an escalation buys on the events of `test`: both models are asked about all of them.

        prices: what work costs. name: of the escalated column, where the graph has several.
        Errors: DataError where nothing is escalated, the price is of nothing there, or no outcome is known.
        """
        return escalation(self, test, Prices() if prices is None else prices, name)

    def prepare(self, data: Data | None = None, *, name: str = "graph", on: Place | None = None) -> Prepared:
        """Computes ahead what the grain allows and publishes it as a version, at once and whole.

        data: what has changed since the fit (new films, new events). Only rows that are new are computed. The version
        before stays published until this one is complete. What only superseded versions need is deleted. on: who
        computes the rows of costly columns, if not this process: mt.Ray().
        """
        context = self.context(data or self.data, on=on)
        done = prepare(self.outline, context, self.progress)
        version = snapshot.publish(name, self.outline, context, self.states.names, done, self.seed)
        self.meter.keep()
        self.store.sweep()
        self.__dict__.pop("live", None)
        self.data, self.prepared, self.version = context.data, done.values, version
        return done.as_version(version)

    def ask(self, **fields: Any) -> Answer:
        """The outputs for one event that is arriving now, given without its outcomes."""
        return self.ask_many([fields])[0]

    def ask_many(self, asks: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """The outputs for several events as one batch."""
        return answer(self.outline, self.live, asks)

    def why(self, **fields: Any) -> dict[str, list[Answer]]:
        """For each output that answers items to this event: each item's key, and the places, from 1, that the scorers
        give it by which it was found."""
        return why(self.outline, self.live, [fields], rankings(self.outline))[0]

    def observe(self, event: type[Event], rows: Sequence[Mapping[str, Any]]) -> None:
        """Events that have happened, outcomes included; the next ask sees them in `past(...)`.

        They are seen by this object only, until it prepares again: durable events are a server's business.
        """
        if event not in self.data.tables:
            raise DataError(
                f"{event.__name__} is no event of these data", help=listed(r.__name__ for r in self.data.seen)
            )
        self.live.meet(event, rows)
        self.live.observe(event, parse(event, list(rows), self.live.entities(), partial=True))

    @cached_property
    def live(self) -> Context:
        """What asks are answered from."""
        return self.context(self.data, self.prepared, online=True)

    def context(
        self,
        data: Data,
        prepared: Mapping[str, str] | None = None,
        online: bool = False,
        spent: Spent = lambda node, cost: None,
        on: Place | None = None,
    ) -> Context:
        """An evaluation over data. prepared: where whole columns are kept that need not be put together again.
        online: whether somebody waits for what it evaluates. spent: told what each call took. on: where it runs, if
        not in this process."""

        def told(node: Apply | Fit, cost: Cost) -> None:
            self.meter.spent(node, cost)
            spent(node, cost)

        known = self.states.values, self.states.names, prepared
        name = self.outline.name
        runner = Local(told, online) if on is None else on.runner(told, self.store.root)
        return Context(data, runner, self.store, *known, self.progress.rows(name), name)


def fit(
    outline: Outline,
    data: Data,
    *,
    store: Path | str | None = None,
    seed: int = 0,
    quiet: bool = False,
    on: Place | None = None,
) -> Fitted:
    """Fits what has not been fitted on these data before. Errors: a place for which nothing is chosen yet."""
    for column in outline.columns:
        if isinstance(column.node, Choice):
            raise column.node.undecided()
    check_data("data", data)
    missing = [record.__name__ for record in outline.records if record not in data.tables]
    if missing:
        raise DataError(
            f"the graph reads {', '.join(missing)}, which the data do not bind",
            help="mt.Data({Film: ..., ...})",
        )
    kept, progress = open_store(store), Progress(quiet)
    meter = Meter(kept)
    runner = Local(meter.spent) if on is None else on.runner(meter.spent, kept.root)
    states = Fitting(outline, kept, runner, meter, progress, seed).all(data)
    meter.keep()
    return Fitted(outline, data, states, kept, quiet, seed=seed)


def published(
    outline: Outline,
    *,
    name: str = "graph",
    store: Path | str | None = None,
    quiet: bool = False,
    version: int | None = None,
) -> Fitted:
    """A published version, with the data and states that it was prepared from: the current one, or one by its number.

    Errors: there is no such store, no such version in it, or it was prepared from another graph.
    """
    kept = existing_store(store)
    number = current(kept, name) if version is None else version
    manifest = kept.version(name, number).manifest
    data, states = snapshot.read(outline, kept, manifest)
    seed = manifest.get("seed", 0)  # which a version kept before seeds were knows nothing of
    return Fitted(outline, data, states, kept, quiet, manifest["values"], number, seed)


def current(store: Store, name: str) -> int:
    """The number of the published version. Errors: nothing is published, or nothing says which version is."""
    number = store.pointed(name)
    if number is not None:
        return number
    if there := store.versions(name):
        raise RunError(
            f"nothing in {store.root} says which version of {name!r} is current; "
            f"there are: {', '.join(str(each.number) for each in there)}",
            help=f"motet rollback FILE.py:{name} points at the newest, as motet prepare does at a new one",
        )
    raise RunError(
        f"nothing is published as {name!r} in {store.root}; {listed(store.graphs(), name)}",
        help=f'motet prepare FILE.py:GRAPH, or fitted.prepare(name="{name}")',
    )
