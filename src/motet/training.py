"""The columns that one model is fitted on: which rows, which labels, as of when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from motet.apply import Fit, Whole, column_of
from motet.batch import Array, Batch, Codes, Pairs, concat, offsets_of
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
    batch: Batch
    target: Any


def training(fit: Fit, context: Context, seed: int, progress: Tick) -> Training:
    """What `fit.model.fit` is called with. Errors: no rows to learn from."""
    event = event_of(fit.frame)
    if event is None:
        run = context.batch()
        rows = max((len(context.data.tables[r]) for r in fit.frame), default=1)
        args = {name: run.value(column_of(arg)) for name, arg in fit.args.items()}
        return Training(Batch(args, rows=rows, seed=seed, progress=progress), None)
    rows = _known(fit, context, event)
    if fit.requests is not None and len(rows) > fit.requests:
        drawn = np.random.default_rng(seed).choice(len(rows), fit.requests, replace=False)
        rows = rows[np.sort(drawn)]
    if not len(rows):
        raise RunError(
            f"{fit.label()} has no {event.__name__} to learn from",
            help="give earlier events, or a later split",
        )
    if fit.chosen_among is not None:
        return _per_candidate(fit, fit.chosen_among, context, rows, seed, progress)
    run = context.batch(event, rows)
    args = {name: run.value(column_of(arg)) for name, arg in fit.args.items()}
    target = None if fit.target is None else run.value(fit.target)
    return Training(Batch(args, rows=len(rows), seed=seed, progress=progress), target)


def _known(fit: Fit, context: Context, event: Any) -> Array:
    """The asked events whose outcome had arrived when the data end."""
    rows, until = context.data.asked[event], context.data.until
    delays = [
        c.node.record.specs[c.node.name].delay
        for c in (upstream((fit.target,)) if fit.target is not None else ())
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
