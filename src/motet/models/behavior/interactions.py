"""Who did what: the matrix that a recommender learns from, read out of a history and its next item."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pyarrow as pa

from motet.apply import Fit
from motet.batch import Array, Batch, Codes, Ragged
from motet.clock import library
from motet.column import Reference, Sequence, learn
from motet.errors import GraphError, RunError, counted
from motet.model import Model
from motet.node import name_of
from motet.past import Past
from motet.record import Entity, entity_of


def learnt_from(model: Model, history: Sequence, items: type[Entity]) -> Fit:
    """What a model learns from histories of items: who, what before, and what next.

    Errors: a history of anything but references to `items`.
    """
    past = history.node
    read = past.past_value if isinstance(past, Past) else None
    if not isinstance(past, Past) or not isinstance(read, Reference) or entity_of(read) is not items:
        of = name_of(history if read is None else read)
        raise GraphError(
            f"{model} reads a history of {items.__name__}, and {name_of(history)} is one of {of}",
            help=f"read the reference to {items.__name__}: mt.past(Visit.film, by=Visit.viewer)",
        )
    same_event = past.asof.grain == read.grain
    return learn(model, target=read if same_event else None, history=history, who=past.asof)


def interactions(batch: Batch, target: Any) -> tuple[Any, pa.Array]:
    """Who did what, as a sparse float32 matrix of ones [who, items], and the keys of its items.

    Holds the training rows' own items and all that came before them; items without any are left out.
    Errors: nobody did anything.
    """
    history, who = cast(Ragged, batch["history"]), cast(Codes, batch["who"])
    assert history.names is not None
    rows, codes = _before(history, who.codes)
    if target is not None:
        rows = np.concatenate([rows, who.codes])
        codes = np.concatenate([codes, cast(Codes, target).coded_by(history.names)])
    known = (rows >= 0) & (codes >= 0)
    if not known.any():
        raise RunError(
            f"there is nothing to learn from: {counted(len(who), 'event')}, and none of them names who and what",
            help="look at the references of the event: motet check",
        )
    matrix = binary(rows[known], codes[known], (int(who.codes.max()) + 1, len(history.names)))
    seen = np.flatnonzero(matrix.getnnz(axis=0))
    return matrix[:, seen], history.names.names.take(pa.array(seen))


def binary(rows: Array, columns: Array, shape: tuple[int, int]) -> Any:
    """A sparse matrix of ones at the given places, however often each is given: float32 CSR."""
    matrix = library("scipy.sparse").csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def multi_hot(history: Ragged, places: Array, width: int, requests: slice) -> Any:
    """Which items of a state are in each history: float32 CSR [requests, width].

    places: where each item of the table is in the state, -1 where it is not. An item that the table does not
        have (an event named it first) is in no state either.
    """
    rows = np.arange(len(history))[requests]
    codes, offsets = history.windows.take(rows).flat()
    who = np.repeat(np.arange(len(rows)), np.diff(offsets))
    what = np.append(places, -1)[np.where((codes < 0) | (codes > len(places)), len(places), codes)]
    known = what >= 0
    return binary(who[known], what[known], (len(rows), width))


def _before(history: Ragged, who: Array) -> tuple[Array, Array]:
    """What each one had done by the latest of their rows: (who, item) pairs."""
    order = np.lexsort((history.windows.ends, who))
    last = order[np.append(np.diff(who[order]) != 0, True)] if len(order) else order
    codes, offsets = history.windows.take(last).flat()
    return np.repeat(who[last], np.diff(offsets)), codes
