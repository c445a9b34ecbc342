"""The models of a graph that can be called by themselves, with tensors in and out; and the graph as one of them.

A model is listed where each of its inputs exists once per row and is a number, a flag, a time (seconds since 1970), a
name, a text, a key or a vector. What reads histories, or works on candidates, has no tensors to be called with and is
only called as part of the graph; so are sums and comparisons, which are no models.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa

from motet import operators
from motet.apply import Apply, Pick, column_of
from motet.batch import NO_TIME, Array, Batch, Codes, Vocabulary
from motet.column import Category, Column, Flag, Image, Key, Number, Reference, Sequence, Tags, Text, Time, Vector
from motet.errors import RunError
from motet.model import NOTHING
from motet.node import item_of
from motet.record import Entity, Event, Field, entity_of
from motet.rows.times import LAST
from motet.serve import schemas
from motet.serve.engine import Reply
from motet.serve.problems import Refused
from motet.serve.protocols.tensors import Asked, Spec
from motet.serve.server import Server
from motet.serve.threads import Threads
from motet.serve.version import Version

Tensors = Mapping[str, Array]
KINDS: Mapping[type, tuple[str, tuple[int, ...]]] = {
    Number: ("FP64", (-1,)),
    Flag: ("FP64", (-1,)),
    Time: ("FP64", (-1,)),
    Text: ("BYTES", (-1,)),
    Category: ("BYTES", (-1,)),
    Vector: ("FP32", (-1, -1)),
}
SHARE = 4  # of the graph's calls, each with as many rows as it may have, fill the engine's queue
NONE: Mapping[str, Any] = {"BYTES": "", "INT64": -1, "FP64": np.nan, "FP32": np.nan}  # fills rows that are shorter


@dataclass(frozen=True)
class Callee:
    """What can be called by a name."""

    name: str
    version: int
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    call: Callable[[Asked, float], Awaitable[Tensors]]


class Callees:
    """The graph, and the models of it that can be called by themselves."""

    def __init__(self, server: Server) -> None:
        self.server, self._threads = server, Threads(server.limits.threads)
        self._made: tuple[Version | None, dict[str, Callee]] = None, {}

    def all(self) -> dict[str, Callee]:
        """By name, as of the version that answers now."""
        version = self.server.version
        if self._made[0] is not version:
            self._made = version, _callees(self.server, self._threads)
        return self._made[1]


def _callees(server: Server, threads: Threads) -> dict[str, Callee]:
    version = server.version
    found = {server.name: _graph(server)}
    for column in version.outline.answering:
        inputs, outputs = _inputs(version, column), _outputs(version, column)
        if inputs and outputs:
            name = version.outline.name(column)
            call = _model(version, column, outputs, threads)
            found.setdefault(name, Callee(name, version.number, inputs, outputs, call))
    return found


def _inputs(version: Version, column: Column) -> tuple[Spec, ...]:
    """What a model takes by itself; nothing where that cannot be said in tensors."""
    node = column.node
    if not isinstance(node, Apply) or node.model.crosses or node.among or node.chosen_among is not None:
        return ()
    if type(node.model).__module__ == operators.__name__:
        return ()
    rows = {name: arg for name, arg in node.args.items() if isinstance(arg, Column) and arg.grain}
    others = [column_of(arg) for name, arg in node.args.items() if name not in rows]
    specs = [_spec(version, name, arg) for name, arg in rows.items()]
    together = len({arg.grain for arg in rows.values()}) == 1 and len(node.grain) == 1
    if not together or any(record.is_event for other in others for record in other.grain):
        return ()
    return tuple(spec for spec in specs if spec) if all(specs) else ()


def _spec(version: Version, name: str, column: Column) -> Spec | None:
    entity = _keys_of(column)
    if entity is not None:
        return Spec(name, _key_type(version, entity))
    if isinstance(column, Vector):
        return Spec(name, "FP32", (-1, _width(version, column)))
    kind = KINDS.get(type(column))
    return Spec(name, *kind) if kind else None


def _width(version: Version, column: Vector) -> int:
    """How many numbers the vectors have, -1 where that is not known before they are computed."""
    context, node = version.context, column.node
    known = column.fingerprint in context.prepared or isinstance(node, Field)
    if not known:
        return -1
    made = context.data.tables[node.record].columns[node.name] if isinstance(node, Field) else context.shared(column)
    return np.asarray(made).shape[1] or -1


def _keys_of(column: Column) -> type[Entity] | None:
    """The entity whose keys a column holds."""
    if isinstance(column, Reference):
        return entity_of(column)
    node = column.node
    return node.record if isinstance(column, Key) and isinstance(node, Field) else None


def _key_type(version: Version, entity: type[Entity]) -> str:
    return "INT64" if schemas.whole(version.context.entities().get(entity)) else "BYTES"


def _outputs(version: Version, column: Column) -> tuple[Spec, ...]:
    """What a model gives: one tensor, called `output`, or one for each field that it fills in."""
    if type(column) in KINDS:
        return (Spec("output", *KINDS[type(column)]),)
    picked = [c for c in version.outline.answering if isinstance(c.node, Pick) and c.node.filled == column]
    return tuple(Spec(c.node.name, *KINDS[type(c)]) for c in picked if isinstance(c.node, Pick) and type(c) in KINDS)


def _model(
    version: Version, column: Column, outputs: tuple[Spec, ...], threads: Threads
) -> Callable[[Asked, float], Awaitable[Tensors]]:
    node = column.node
    assert isinstance(node, Apply)

    def work(asked: Asked) -> Tensors:
        state = version.context.states[node.fit.fingerprint] if node.fit else NOTHING
        run = version.context.batch()
        args = {
            name: _value(version, column_of(arg), asked.inputs[name])
            if name in asked.inputs
            else run.value(column_of(arg))
            for name, arg in node.args.items()
        }
        try:
            with np.errstate(all="ignore"):  # numbers may be as large as they like
                made = version.context.runner.apply(node, state, Batch(args, rows=asked.rows))
        except RunError as error:
            if error.__cause__ is None:
                raise
            # What breaks inside a model on tensors that nobody has checked is the fault of these.
            name = version.outline.name(column)
            help = f"/v2/models/{name} tells their shapes; a vector has as many numbers as in the data"
            raise Refused(400, f"{name!r} cannot be computed from these tensors", help) from None
        filled = cast("Mapping[str, Any]", made) if isinstance(made, Mapping) else {"output": made}
        return {spec.name: _array(filled[spec.name]) for spec in outputs}

    return lambda asked, ends: threads.run(lambda: work(asked), ends)


def _value(version: Version, column: Column, given: Array) -> Any:
    """A tensor as the value of a column."""
    entity = _keys_of(column)
    if isinstance(column, Key):
        return pa.array(given.tolist())
    if entity is not None:
        keys = version.context.entities()[entity]
        return Codes(np.array([keys.code(key) for key in given.tolist()], np.int32), keys)
    if isinstance(column, Text):
        return pa.array(given.tolist(), pa.large_string())
    if isinstance(column, Category):
        names = sorted(set(given.tolist()))
        place = {name: code for code, name in enumerate(names)}
        codes = np.array([place[name] for name in given.tolist()], np.int32)
        return Codes(codes, Vocabulary(pa.array(names, pa.large_string())))
    if isinstance(column, Time):
        if (np.abs(given) > LAST / 1e6).any():
            raise Refused(400, "a time is outside the years 1 to 9999", "send seconds since 1970")
        return np.where(np.isnan(given), NO_TIME, np.nan_to_num(given) * 1e6).astype(np.int64)
    return given


def _array(value: Any) -> Array:
    """A value as a tensor."""
    if isinstance(value, Codes):
        value = value.names.names.take(pa.array(value.codes, mask=value.codes < 0))
    if isinstance(value, pa.Array):
        return _filled([text or "" for text in value.to_pylist()], "BYTES", 1)
    array = np.asarray(value)
    return np.where(array == NO_TIME, np.nan, array / 1e6) if array.dtype == np.int64 else array


def _graph(server: Server) -> Callee:
    version = server.version
    given = schemas.known(version.event)
    inputs = tuple(spec for name in given if (spec := _asked_spec(version, version.event, name)))
    outputs = tuple(
        spec for name, column in version.outline.answered.items() for spec in _told_specs(version, name, column)
    )
    most = max(1, server.limits.waiting // SHARE)

    async def call(asked: Asked, ends: float) -> Tensors:
        if asked.rows > most:
            raise Refused(400, f"{asked.rows:,} rows are more asks than one call may have", f"send 1 to {most:,}")
        replies = await _all([server.ask(_row(asked.inputs, i), ends=ends) for i in range(asked.rows)])
        return {spec.name: _told(spec, replies) for spec in outputs}

    return Callee(server.name, version.number, inputs, outputs, call)


async def _all(asks: list[Coroutine[Any, Any, Reply]]) -> list[Reply]:
    """Every reply. Where one ask fails, the others are withdrawn."""
    work = [asyncio.ensure_future(ask) for ask in asks]
    try:
        return await asyncio.gather(*work)
    finally:
        for each in work:
            each.cancel()


def _asked_spec(version: Version, event: type[Event], name: str) -> Spec | None:
    """A field of the event; several names are one text, divided by |."""
    kind, optional = event.fields[name], event.specs[name].has_default or name == event.time_field()
    if name in event.references():
        return Spec(name, _key_type(version, event.references()[name]), optional=optional)
    datatype, shape = ("BYTES", (-1,)) if kind in (Tags, Key, Image) else KINDS[kind]
    return Spec(name, datatype, shape, optional)


def _row(inputs: Tensors, row: int) -> dict[str, Any]:
    """One ask. A number that is NaN is missing."""
    values: dict[str, Any] = {name: array[row : row + 1].tolist()[0] for name, array in inputs.items()}
    return {name: None if value != value else value for name, value in values.items()}


def _told_specs(version: Version, name: str, column: Column) -> list[Spec]:
    """The tensors of an output: candidates are their keys and their scores, filled up with -1 or "" and with NaN."""
    entity = item_of(column.grain)
    if entity is not None:
        return [Spec(name, _key_type(version, entity), (-1, -1)), Spec(f"{name}.scores", "FP32", (-1, -1))]
    if isinstance(column, Tags):
        return [Spec(name, "BYTES", (-1, -1))]
    if isinstance(column, Sequence):
        read = column.node.inputs[0]
        found = _spec(version, name, read)
        return [Spec(name, found.datatype, (-1, -1))] if found and len(found.shape) == 1 else []
    found = _spec(version, name, column)
    return [found] if found else []


def _told(spec: Spec, replies: list[Reply]) -> Array:
    name, scores = spec.name.removesuffix(".scores"), spec.name.endswith(".scores")
    values = [reply.answer[spec.name if spec.name in reply.answer else name] for reply in replies]
    if len(spec.shape) > 1:
        values = [[_cell(value, -1 if scores else 0) for value in row] for row in values]
    return _filled(values, spec.datatype, len(spec.shape))


def _cell(value: Any, place: int) -> Any:
    """A candidate's key, which is first in it, or its score, which is last; anything else is itself."""
    return list(cast("dict[str, Any]", value).values())[place] if isinstance(value, dict) else value


def _filled(values: list[Any], datatype: str, deep: int) -> Array:
    """Values, or rows of them, as a tensor; what is missing or shorter is filled up."""
    none = NONE[datatype]
    kind = {"BYTES": object, "INT64": np.int64, "FP64": np.float64, "FP32": np.float32}[datatype]
    shape = (len(values),) if deep == 1 else (len(values), max(map(len, values), default=0))
    made = np.full(shape, none, kind)
    for row, value in enumerate(values):
        if deep == 1:
            made[row] = none if value is None else value
        else:
            made[row, : len(value)] = [none if each is None else each for each in value]
    return made
