"""A published graph as an MLflow model, which MLflow loads, scores and serves like any other.

motet.mlflow.save("shop.py:shop", "model") writes the folder; mlflow.pyfunc.load_model("model").predict(frame) answers
a frame of asks, a row each: a column for each output, a ranking as a list of items. The other way, a model of MLflow
inside a graph, is mt.MLflow.
"""

from __future__ import annotations

import importlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from motet import loading
from motet.column import Category, Column, Flag, Image, Number, Text
from motet.errors import RunError, needs
from motet.fitted import Fitted, published
from motet.record import Event
from motet.store import Store

GRAPH, CODE, STORE = "graph.json", "graph.py", "store"
TYPES: dict[type[Column], str] = {
    Number: "double",
    Flag: "boolean",
    Text: "string",
    Category: "string",
    Image: "string",
}


def save(
    target: str, path: Path | str, *, store: Path | str | None = None, code: Sequence[Path | str] = (), **given: Any
) -> None:
    """Writes the published version of a graph to a folder that must not exist yet.

    It holds the graph's file, states, prepared columns and data. target: FILE.py:GRAPH. code: folders or files that the
    graph's file imports from, beside installed packages. given: as mlflow.pyfunc.save_model takes it, such as
    pip_requirements=["motet"].
    Errors: nothing of it is published, or MLflow is not installed.
    """
    pyfunc = _library("mlflow.pyfunc")
    fitted = published(loading.graph(target), name=loading.name(target), store=store, quiet=True)
    file = target.rpartition(":")[0]
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder) / "motet"
        _copied(fitted, loading.name(target), Store(held / STORE))
        shutil.copyfile(file, held / CODE)
        (held / GRAPH).write_text(json.dumps({"target": target}))
        paths = [str(each) for each in code] or None
        kept = {"loader_module": __name__, "data_path": str(held), "code_paths": paths, "signature": _signature(fitted)}
        pyfunc.save_model(str(path), **{**kept, **given})


class Answers:
    """What MLflow calls: a frame of asks in, a frame of answers out. A missing value is NaN or None in both."""

    def __init__(self, fitted: Fitted) -> None:
        self.fitted = fitted

    def predict(self, model_input: Any, params: Any = None) -> Any:
        pandas = _library("pandas")
        asks = [self._ask(row) for row in model_input.to_dict("records")]
        return pandas.DataFrame(self.fitted.ask_many(asks), index=model_input.index)

    def _ask(self, row: dict[Any, Any]) -> dict[str, Any]:
        event = _event(self.fitted)
        given = {str(name): _plain(value) for name, value in row.items()}
        own = {name for name, spec in event.specs.items() if spec.has_default} | {event.time_field()}
        return {name: value for name, value in given.items() if value is not None or name not in own}


def _load_pyfunc(path: str) -> Answers:  # pyright: ignore[reportUnusedFunction]  # MLflow calls it by this name
    folder = Path(path)
    target = json.loads((folder / GRAPH).read_text())["target"]
    graph = loading.graph(target, folder / CODE)
    return Answers(published(graph, name=loading.name(target), store=folder / STORE, quiet=True))


def _copied(fitted: Fitted, name: str, into: Store) -> None:
    """What this version answers from, and nothing else of its store."""
    there = fitted.store
    assert fitted.version is not None
    manifest = there.version(name, fitted.version).manifest
    for each in manifest["states"].values():
        state, about = there.state(each), there.about(each)
        assert state is not None
        into.keep_state(each, state, about or {})
    for each in _values(manifest):
        value = there.value(each)
        assert value is not None
        into.keep_value(each, value)
    into.publish({**manifest, "cells": []})


def _values(manifest: Any) -> Iterable[str]:
    tables = (token for fields in manifest["tables"].values() for token in fields.values())
    return {*manifest["values"].values(), *manifest["indexes"], *tables, *manifest["seen"].values()}


def _signature(fitted: Fitted) -> Any:
    """The fields that an ask may give; keys and times are taken as they are."""
    schema, models = _library("mlflow.types.schema"), _library("mlflow.models")
    event, columns = _event(fitted), list[Any]()
    for name, spec in event.specs.items():
        if not spec.outcome:
            kind = TYPES.get(event.fields[name])
            said = schema.AnyType() if kind is None else schema.DataType[kind]
            columns.append(schema.ColSpec(said, name, required=not spec.has_default and name != event.time_field()))
    return models.ModelSignature(schema.Schema(columns))


def _event(fitted: Fitted) -> type[Event]:
    event = fitted.outline.event
    if event is None:
        raise RunError("the graph is asked by no event, so MLflow has nothing to ask it", help="mt.Graph(likes=...)")
    return event


def _plain(value: Any) -> Any:
    """A value of a frame as an ask gives it."""
    if isinstance(value, np.ndarray):
        return cast(Any, value).tolist()
    if isinstance(value, (str, list)):
        return cast(Any, value)
    if _library("pandas").isna(value):
        return None
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    return cast(Any, value).item() if isinstance(value, np.generic) else value


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise needs("mlflow", name.partition(".")[0]) from None
