"""What is served, for people who look at it: the graph, all models there are, items, versions and returns.

Everything here is only read, and nothing that changes with a request: `/metrics` counts that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from motet import loading
from motet.answer import values
from motet.apply import Apply, Within
from motet.batch import take
from motet.candidates import Ranked, Retrieve, Top
from motet.column import Flag, Number, Time, Vector
from motet.errors import listed
from motet.escalate import Escalate
from motet.llm import llm_of
from motet.model import Model
from motet.node import Choice, Column, Otherwise, item_of, upstream
from motet.operators import OPERATORS
from motet.outline import Outline
from motet.places import Place
from motet.plan import Line, plan, unit
from motet.record import Entity
from motet.serve import http, parts, schemas
from motet.serve.called import called
from motet.serve.operations import A_PROBLEM, PROBLEM_JSON, Paths, get
from motet.serve.problems import Refused
from motet.serve.server import Server
from motet.serve.version import Version
from motet.store.versions import Version as Published
from motet.table import Table

Fact = dict[str, Any]
MOST = 100  # items of one request
HIDDEN = (Vector, Time)  # fields that say nothing to people as they are
HIGH = 0.95  # of what an outcome was so far: a viewer who likes something says so much
RETURNS = "motet returns FILE.py:GRAPH --hit 0.02 --cpu-hour 0.04 --keep"


def routes(server: Server) -> list[Route]:
    async def graph(request: Request) -> Response:
        return http.json_reply(await asyncio.to_thread(_graph, server))

    async def landscape(request: Request) -> Response:
        return http.json_reply(await asyncio.to_thread(_landscape, server.version))

    async def versions(request: Request) -> Response:
        return http.json_reply(await asyncio.to_thread(_versions, server))

    async def returns(request: Request) -> Response:
        return http.json_reply(await asyncio.to_thread(_returns, server))

    async def items(request: Request) -> Response:
        return http.json_reply(await asyncio.to_thread(_items, server.version, request))

    return [
        Route("/v1/graph", graph),
        Route("/v1/landscape", landscape),
        Route("/v1/versions", versions),
        Route("/v1/returns", returns),
        Route("/v1/items/{entity}", items),
    ]


def paths(server: Server) -> Paths:
    any_object = {"type": "object"}
    made = {
        "/v1/graph": get("The columns of the graph: when each is computed, from what, and what it took", any_object),
        "/v1/landscape": get("Every model that comes with Motet, and where this graph uses it", any_object),
        "/v1/versions": get("What is published, what is prepared for it, and what is missing", any_object),
        "/v1/returns": get("What each optional model returns, as it was measured and kept last; else how", any_object),
    }
    if not (entities := sorted(_entities(server.version))):
        return made
    named = {"name": "entity", "in": "path", "required": True, "schema": {"enum": entities}}
    keys = {"name": "key", "in": "query", "schema": {"type": "array", "items": schemas.TEXT, "maxItems": MOST}}
    told = get("The fields of some items; keys that are not known are left out", any_object, parameters=[named, keys])
    refused = {"404": "answers hold no such items", "422": "too many keys"}
    return {**made, "/v1/items/{entity}": _refusing(told, refused)}


def _refusing(path: Paths, refused: Mapping[str, str]) -> Paths:
    said = {
        status: {"description": about, "content": {PROBLEM_JSON: {"schema": A_PROBLEM}}}
        for status, about in refused.items()
    }
    return {"get": {**path["get"], "responses": {**path["get"]["responses"], **said}}}


def _graph(server: Server) -> Fact:
    version = server.version
    outline, fitted = version.outline, version.fitted
    said = {str(c.node.model): _model(c.node.model) for c in outline.columns if isinstance(c.node, Apply)}
    short, lines = called(outline), plan(outline, fitted.data, store=fitted.store.root).lines
    outputs = [_output(version, name, column) for name, column in outline.answered.items()]
    places = [
        {"name": p.name, "column": outline.name(p.column), "strong": p.strong, "cheap": p.cheap} for p in version.places
    ]
    told = {line.column for line in lines}.union(*(place.values() for place in places))
    told |= {by for output in outputs for step in output["steps"] for by in step["by"]}
    return {
        "name": server.name,
        "version": version.number,
        "event": {"name": version.event.__name__, "outcomes": _outcomes(version)},
        "outputs": outputs,
        "columns": [
            {**asdict(line), "model": said.get(line.model, line.model), "computed": _computed(outline, line, short)}
            for line in lines
        ],
        "called": {name: short[name] for name in short if name in told},
        "places": places,
        "events": server.log is not None,
        "conversation": parts.conversation(version),
    }


def _computed(outline: Outline, line: Line, short: Mapping[str, str]) -> str:
    """When a column is; what a late one depends on is called as it is elsewhere."""
    said = line.computed
    for column in outline.columns:
        if isinstance(column.node, Within) and column.node.where is not None:
            name = outline.name(column.node.where)
            said = said.replace(column.node.where.node.label(), short.get(name, name))
    return said


def _outcomes(version: Version) -> list[Fact]:
    """What is only known after the event. high: what a viewer who likes something says, where that is a number."""
    event, found = version.event, list[Fact]()
    for name in (name for name, spec in event.specs.items() if spec.outcome):
        kind, entity = event.fields[name], event.references().get(name)
        about: Fact = {"name": name, "kind": kind.__name__}
        if entity is not None:
            about["entity"] = entity.__name__
        elif kind in (Number, Flag):
            about["high"] = 1.0 if kind is Flag else _high(version.context.data.tables[event], name)
        found.append(about)
    return found


def _high(table: Table, field: str) -> float | None:
    values = np.asarray(table.columns[field], np.float64)
    known = values[np.isfinite(values)]
    return float(np.quantile(known, HIGH, method="nearest")) if len(known) else None


def _output(version: Version, name: str, column: Column) -> Fact:
    entity = item_of(column.grain)
    made: Fact = {"name": name, "kind": column.kind, "late": name in version.late}
    if entity is not None:
        made |= {"entity": entity.__name__, "key": entity.key_field()}
    return made | {"steps": _steps(version.outline, column)}


def _steps(outline: Outline, column: Column) -> list[Fact]:
    """How an output comes about, the last step first."""
    node, steps = column.node, list[Fact]()
    while True:
        if isinstance(node, Top):
            node = node.candidates.node
        elif isinstance(node, (Otherwise, Escalate)):
            node = node.strong.node
        elif isinstance(node, Within):
            node = node.late.node
        elif isinstance(node, Choice):
            node = node.options[0].node
        elif isinstance(node, Ranked):
            steps.append({"does": "ranked", "by": [outline.name(node.by)]})
            node = node.candidates.node
        elif isinstance(node, Retrieve):
            return [*steps, {"does": "found", "by": [outline.name(scorer) for scorer in node.by]}]
        else:
            by = [_model(node.model)] if isinstance(node, Apply) and not isinstance(node.model, OPERATORS) else []
            return [*steps, *([{"does": "made", "by": by}] if by else [])]


def _model(model: Model) -> str:
    """What a model is, without where its language model answers."""
    llm = llm_of(model)
    return str(model) if llm is None else str(model).replace(repr(llm), llm.model)


def _landscape(version: Version) -> Fact:
    homes = _homes(version)
    rows = [{**row, "used": _used(version, row["module"], homes)} for row in loading.models()]
    return {"models": rows}


def _used(version: Version, module: str, homes: Mapping[str, str]) -> list[Fact]:
    """The columns that a model makes here, with what its calls and its fit took. seconds: of a row, as the plan has
    them. place: the optional one that it works for and nothing else."""
    outline, fitted, found = version.outline, version.fitted, list[Fact]()
    for column in outline.columns:
        node = column.node
        if not isinstance(node, Apply):
            continue
        learnt = node.fit.model if node.fit else None
        if module not in (type(node.model).__module__, type(learnt).__module__):
            continue
        each = unit(fitted.store, node, fitted.data)
        about = node.fit and fitted.store.about(fitted.states.names[node.fit.fingerprint])
        found.append(
            {
                "column": outline.name(column),
                "model": _model(node.model if learnt is None else learnt),
                "seconds": each.seconds,
                "elsewhere": each.elsewhere,
                "silent": each.silent,
                "fit": about.get("seconds") if about else None,
                "place": homes.get(column.fingerprint),
            }
        )
    return found


def _homes(version: Version) -> dict[str, str]:
    """The place that a column works for and nothing else, by its fingerprint; of several the smallest."""
    apart = {place.name: _apart(version.outline, place) for place in version.places}
    largest_first = sorted(apart, key=lambda name: -len(apart[name]))
    return {column: name for name in largest_first for column in apart[name]}


def _apart(outline: Outline, place: Place) -> set[str]:
    """What nothing would need if a place had no strong column."""
    needed, waiting = set[str](), [*outline.outputs.values()]
    while waiting:
        column = waiting.pop()
        if column.fingerprint not in needed:
            needed.add(column.fingerprint)
            read = [*column.node.inputs, *(each for fit in column.node.fits for each in fit.inputs)]
            cut = place.column.fingerprint if column.fingerprint == place.at.fingerprint else ""
            waiting += [each for each in read if each.fingerprint != cut]
    return {column.fingerprint for column in upstream((place.column,))} - needed


def _versions(server: Server) -> Fact:
    version = server.version
    store, outline = version.fitted.store, version.outline
    there, data = store.versions(server.name), version.fitted.data.tables
    mine = next((v for v in there if v.number == version.number), None)
    prepared = [c for c in outline.columns if c.fingerprint in version.fitted.prepared]
    problems: Mapping[str, Mapping[str, int]] = mine.manifest.get("problems", {}) if mine else {}
    return {
        "answers": version.number,
        "published": next((v.number for v in there if v.current), None),
        "versions": [{"number": v.number, "when": v.when, "current": v.current, "before": v.before} for v in there],
        "damaged": store.damaged(server.name),
        "seen": 0 if server.log is None else server.log.observed(version),
        "returns": next((v.number for v in _measured(server)), None),
        "data": {record.__name__: len(table) for record, table in data.items()},
        "prepared": [
            {
                "column": outline.name(c),
                "rows": len(data[item_of(c.grain)]),
                "missing": problems.get(outline.name(c), {}),
            }
            for c in prepared
        ],
    }


def _returns(server: Server) -> Fact:
    """The newest that was kept, of this version or one before it. same: whether of this very graph. help: the command
    that keeps some."""
    version = server.version
    for kept in _measured(server):
        found = version.fitted.store.report(server.name, kept.number, "returns")
        assert found is not None
        same = kept.manifest["fingerprint"] == version.outline.fingerprint
        about = {"version": kept.number, "when": found["when"], "same": same}
        return {**about, "returns": found["report"], "help": RETURNS}
    return {"returns": None, "help": RETURNS}


def _measured(server: Server) -> list[Published]:
    """The versions that returns were kept with, the newest first."""
    store, name = server.version.fitted.store, server.name
    return [v for v in reversed(store.versions(name)) if store.report(name, v.number, "returns") is not None]


def _items(version: Version, request: Request) -> Fact:
    there, name = _entities(version), str(request.path_params["entity"])
    if name not in there:
        raise Refused(404, f"no answer holds items called {name[:60]!r}", listed(there, name))
    keys = request.query_params.getlist("key")
    if len(keys) > MOST:
        raise Refused(422, f"{len(keys):,} keys are given", f"ask for {MOST} at once at most")
    table = version.context.data.tables[there[name]]
    assert table.keys is not None
    whole = schemas.whole(table.keys)
    codes = [table.keys.code(int(key) if whole and key.isdecimal() else key) for key in keys]
    known = np.array([code for code in codes if code >= 0], np.int32)
    shown = [name for name, kind in there[name].fields.items() if kind not in HIDDEN]
    columns = {field: values(take(table.columns[field], known)) for field in shown}
    return {"items": [{field: column[row] for field, column in columns.items()} for row in range(len(known))]}


def _entities(version: Version) -> dict[str, type[Entity]]:
    """The entities that answers hold: who asks has no business with the others' fields."""
    found = [item_of(column.grain) for column in version.outline.answered.values()]
    return {entity.__name__: entity for entity in found if entity is not None}
