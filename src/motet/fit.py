"""Fits a graph's models in order, each on what could be known at the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from motet.apply import Apply, Fit
from motet.clock import processor, wall
from motet.cost import Cost
from motet.data import Data
from motet.errors import DataError
from motet.llm import llm_named
from motet.meter import Meter
from motet.model import State, digest
from motet.node import Column, event_of, given, upstream
from motet.outline import Outline
from motet.plan import cost_key
from motet.progress import Progress
from motet.record import Event, Field
from motet.run.context import Context
from motet.run.runner import Runner
from motet.store import Store
from motet.training import training

STACKED = 0.2
"""Share of the events, the latest, that a model stacked on others learns from."""


@dataclass(frozen=True)
class States:
    """What has been fitted: states, and their fingerprints, by the fingerprint of what was fitted."""

    values: Mapping[str, State] = field(default_factory=dict[str, State])
    names: Mapping[str, str] = field(default_factory=dict[str, str])

    def __or__(self, other: States) -> States:
        return States({**self.values, **other.values}, {**self.names, **other.names})

    def adding(self, fit: Fit, name: str, state: State) -> States:
        return self | States({fit.fingerprint: state}, {fit.fingerprint: name})


@dataclass(frozen=True)
class Fitting:
    """One fit of a graph. Models of depth 0 learn from all events. A model stacked on them learns from the
    latest events only, with the lower ones fitted on the events before; then the lower ones are fitted on all.

    A student is not stacked on its teacher, whose answers it learns and never reads: it learns from the events that its
    teacher was fitted on, too.

    meter: told what the runner's calls take. Columns that no event is part of have a cost of their own.
    """

    outline: Outline
    store: Store
    runner: Runner
    meter: Meter
    progress: Progress
    seed: int = 0

    def all(self, data: Data) -> States:
        free = States()
        for fit in self.outline.fits:
            if self.depths[fit.fingerprint] == 0 and not fit.learns_outcomes:
                free = self._with(fit, data, free)
        deepest = max(self.depths.values(), default=0)
        return self._up_to(deepest, data, free)

    @cached_property
    def depths(self) -> dict[str, int]:
        """How many models that learn from outcomes each is stacked on, at most."""
        found: dict[str, int] = {}
        for fit in self.outline.fits:
            read = [found[g.fingerprint] + g.learns_outcomes for g in _fits_below(fit.features)]
            learnt = [found[g.fingerprint] for g in _fits_below(given(fit.target))]
            found[fit.fingerprint] = max(read + learnt, default=0)
        return found

    def _up_to(self, depth: int, data: Data, free: States) -> States:
        if depth < 0:
            return free
        lower = self._up_to(depth - 1, data, free)
        asked, seen_by = data, lower
        if depth > 0:
            early, asked = self._cut(data)
            seen_by = self._up_to(depth - 1, early, free)
        for fit in self.outline.fits:
            if self.depths[fit.fingerprint] == depth and fit.fingerprint not in seen_by.values:
                seen_by = self._with(fit, asked, seen_by)
                lower = lower.adding(fit, seen_by.names[fit.fingerprint], seen_by.values[fit.fingerprint])
        return lower

    def _cut(self, data: Data) -> tuple[Data, Data]:
        event: type[Event] = self.outline.event
        times = data.times(event)[data.asked[event]]
        at = int(np.quantile(times, 1 - STACKED, method="higher"))
        if at <= times.min():
            raise DataError(
                f"all {len(times)} of {event.__name__} happen at one time, and a stacked model needs earlier ones too",
                help="give data over a longer time",
            )
        return data.split(at=at)

    def _with(self, fit: Fit, data: Data, lower: States) -> States:
        """Beside a state is kept what it took: seconds and tokens with those of making its rows, by what it is stacked
        on; memory of the fit alone. What a teacher's kept rows took is not in it: they may have been there before."""
        name = self._name(fit, data, lower)
        state = self.store.state(name)
        label = f"fit {fit.model}"
        if state is None:
            with self.progress.bar(label) as tick:
                before, asked = self._spent(), self.meter.asked()
                named, rows = self.outline.name, self.progress.rows(self.outline.name)
                context = Context(data, self.runner, self.store, lower.values, lower.names, tick=rows, name=named)
                made = training(fit, context, self.seed, tick)
                state, cost = self.runner.fit(fit, made.batch, made.target)
                kept = context.kept
                took = {n: round(now - before[n] - getattr(kept, n), 3) for n, now in self._spent().items()}
            teachers = _teachers(fit)
            later = {k: v for k, v in self.meter.asked().items() if k not in teachers}
            calls = [(fit, cost), *_grown(asked, later)]
            tokens, gpu_seconds = _tokens(calls), sum(each.gpu_seconds for _, each in calls)
            below = [lower.names[g.fingerprint] for g in _fits_below(fit.inputs)]
            labelled = {name: context.distinct[name] for name in teachers if name in context.distinct}
            rows = {"rows": made.batch.rows, "silent": made.silent, "teachers": teachers, "labelled": labelled}
            spent = {**took, "tokens": tokens, "gpu_seconds": gpu_seconds, "peak_bytes": cost.peak_bytes}
            about = {"model": str(fit.model), **rows, **spent, "below": below}
            self.store.keep_state(name, state, about)
            self.store.add_cost(cost_key(fit), cost)
        else:
            self.progress.found(label)
        return lower.adding(fit, name, state)

    def _spent(self) -> dict[str, float]:
        """The clocks, less what columns took that happened to be computed for the first time."""
        ahead = self.meter.ahead
        return {"seconds": wall() - ahead.seconds, "cpu_seconds": processor() - ahead.cpu_seconds}

    def _name(self, fit: Fit, data: Data, lower: States) -> str:
        """Equal names mean equal states: the same model on the same data above the same lower states."""
        nodes = [c.node for c in upstream(fit.inputs)]
        fields = [node for node in nodes if isinstance(node, Field)]
        contents = [data.token(f.record, f.name) for f in fields]
        events = dict.fromkeys(f.record for f in fields if f.record.is_event)
        rows = [data.rows_token(event) for event in events]
        below = [lower.names[g.fingerprint] for g in _fits_below(fit.inputs)]
        return digest(fit.fingerprint, str(self.seed), *contents, *rows, *below)


def _grown(
    before: Mapping[str, tuple[Apply, Cost]], after: Mapping[str, tuple[Apply, Cost]]
) -> list[tuple[Apply, Cost]]:
    """What columns have taken since."""
    return [(node, now + before[key][1].times(-1) if key in before else now) for key, (node, now) in after.items()]


def _tokens(calls: Sequence[tuple[Apply | Fit, Cost]]) -> dict[str, list[int]]:
    """What each language model read and wrote for a fit: in the fit itself, and for the columns that it reads."""
    found: dict[str, list[int]] = {}
    for node, cost in calls:
        if cost.tokens_in or cost.tokens_out:
            known = found.setdefault(llm_named(node.model), [0, 0])
            known[0] += cost.tokens_in
            known[1] += cost.tokens_out
    return found


def _teachers(fit: Fit) -> dict[str, list[str]]:
    """The costly columns that a teacher consists of, by their fingerprints: what the unit cost of each one's model is
    kept under, and whose LLM it calls."""
    read = [column.node for column in upstream(given(fit.teacher), fits=False)]
    made = [node for node in read if isinstance(node, Apply) and node.model.costly and event_of(node.grain) is not None]
    return {node.fingerprint: [cost_key(node), llm_named(node.model)] for node in made}


def _fits_below(columns: tuple[Column, ...]) -> list[Fit]:
    found = {g.fingerprint: g for column in upstream(columns) for g in column.node.fits if isinstance(g, Fit)}
    return list(found.values())
