"""The columns that one model is fitted on: which rows, which labels, as of when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from motet.apply import Fit, Whole, column_of
from motet.batch import Array, Batch, Codes, Pairs, concat, offsets_of, take
from motet.column import Column
from motet.errors import RunError
from motet.history import SECOND
from motet.node import event_of, item_of, upstream
from motet.record import Field
from motet.run.context import Batched, Context

Tick = Callable[[int, int, str], None]  # told (done, of, what it says)
BLOCK = 1_000  # requests whose candidates' features are made at a time


@dataclass(frozen=True)
class Training:
    """silent: how many events were left out, since a teacher had nothing to say of them."""

    batch: Batch
    target: Any
    silent: int = 0


def training(fit: Fit, context: Context, seed: int, progress: Tick) -> Training:
    """What `fit.model.fit` is called with. Errors: no rows to learn from."""
    event = event_of(fit.frame)
    if event is None:
        run = context.batch()
        rows = max((len(context.data.tables[r]) for r in fit.frame), default=1)
        args = {name: run.value(column_of(arg)) for name, arg in fit.args.items()}
        return Training(Batch(args, rows=rows, seed=seed, progress=progress), None)
    rows = _drawn(fit, _known(fit, context, event), seed)
    if not len(rows):
        raise RunError(
            f"{fit.label()} has no {event.__name__} to learn from",
            help="give earlier events, or a later split",
        )
    if fit.chosen_among is not None:
        return _per_candidate(fit, fit.chosen_among, context, rows, seed, progress)
    run = context.batch(event, rows)
    target = None if fit.target is None else run.value(fit.target)
    args = {name: run.value(column_of(arg)) for name, arg in fit.args.items()}
    made = Training(Batch(args, rows=len(rows), seed=seed, progress=progress), target)
    return made if fit.teacher is None else _taught(fit, fit.teacher, made)


def _drawn(fit: Fit, rows: Array, seed: int) -> Array:
    """At most so many rows as the fit may learn from, in their order."""
    if fit.requests is None or len(rows) <= fit.requests:
        return rows
    random = np.random.default_rng(seed)
    if fit.teacher is not None:  # the first of one order: a larger sample holds the smaller one, which is labelled
        return rows[np.sort(random.permutation(len(rows))[: fit.requests])]
    return rows[np.sort(random.choice(len(rows), fit.requests, replace=False))]


def _taught(fit: Fit, teacher: Column, made: Training) -> Training:
    """The rows of which the teacher says something. Errors: there are none."""
    target, asked = made.target, made.batch.rows
    rows = np.flatnonzero(target.codes >= 0 if isinstance(target, Codes) else np.isfinite(target))
    if not len(rows):
        raise RunError(
            f"{fit.label()} has nothing to learn from: of {asked:,} events {teacher.node.label()} says nothing",
            help="ask it about some by itself: mt.Graph(said=teacher).fit(train).ask(...)",
        )
    args = {
        name: made.batch[name] if isinstance(arg, Whole) else take(made.batch[name], rows)
        for name, arg in fit.args.items()
    }
    batch = replace(made.batch, columns=args, rows=len(rows))
    return Training(batch, take(target, rows), silent=asked - len(rows))


def _known(fit: Fit, context: Context, event: Any) -> Array:
    """The asked events whose outcome had arrived when the data end."""
    rows, until = context.data.asked[event], context.data.until
    delays = [
        c.node.record.specs[c.node.name].delay
        for c in (upstream((fit.target,)) if fit.target is not None and fit.target.after else ())
        if isinstance(c.node, Field)
    ]
    delay = max(delays, default=0.0)
    if until is None or delay == 0:
        return rows
    times = context.data.times(event)[rows]
    return rows[times + round(delay * SECOND) < until]


def _per_candidate(fit: Fit, among: Column, context: Context, rows: Array, seed: int, progress: Tick) -> Training:
    """One row per candidate of the requests whose outcome is among their candidates."""
    event = event_of(fit.frame)
    parts: list[Training] = []
    for low in range(0, len(rows), BLOCK):
        part = _block(fit, among, context.batch(event, rows[low : low + BLOCK]))
        parts += [part] if len(part.target) else []
        progress(min(low + BLOCK, len(rows)), len(rows), "requests replayed")
    if not parts:
        raise RunError(
            f"{fit.label()} has nothing to learn from: of {len(rows)} requests none found what it came to",
            help="retrieve more candidates (k=...), or by better scorers",
        )
    args = {
        name: part if isinstance(arg, Whole) else concat([p.batch[name] for p in parts])
        for name, arg in fit.args.items()
        for part in [parts[0].batch[name]]
    }
    sizes = np.concatenate([p.batch.sizes for p in parts])
    target = np.concatenate([p.target for p in parts])
    return Training(Batch(args, rows=len(target), groups=offsets_of(sizes), seed=seed, progress=progress), target)


def _block(fit: Fit, among: Column, run: Batched) -> Training:
    pairs: Pairs = run.value(among)
    labels = _labels(fit, run, pairs)
    pairs, labels = _hits(pairs, labels)
    args = {
        name: run.value(arg.column) if isinstance(arg, Whole) else run.at(arg, pairs) for name, arg in fit.args.items()
    }
    return Training(Batch(args, rows=len(labels), groups=pairs.offsets), labels)


def _labels(fit: Fit, run: Batched, pairs: Pairs) -> Array:
    """The outcome for the candidate that happened, zero for the others: float64 [pairs]."""
    event, item = event_of(fit.frame), item_of(fit.frame)
    happened: Codes = run.value(event.happened(item))
    assert fit.target is not None
    outcome = run.value(fit.target)
    worth = np.ones(len(happened)) if isinstance(outcome, Codes) else np.nan_to_num(outcome)
    chosen = happened.codes[pairs.requests] == pairs.items
    return np.where(chosen, worth[pairs.requests], 0.0)


def _hits(pairs: Pairs, labels: Array) -> tuple[Pairs, Array]:
    """Only the requests with some label above zero: the others say nothing about order."""
    requests = pairs.requests
    some = np.zeros(len(pairs), bool)
    some[requests[labels > 0]] = True
    kept = some[requests]
    sizes = np.diff(pairs.offsets) * some
    return replace(pairs, offsets=offsets_of(sizes), items=pairs.items[kept], scores=pairs.scores[kept]), labels[kept]
