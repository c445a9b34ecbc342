"""Finds what the command line names: a graph in a file, its data beside it, its published version."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import pkgutil
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import motet
import motet.models
from motet import fitted, weights
from motet.data import Data
from motet.errors import DataError, GraphError, MotetError, RunError, listed
from motet.fitted import Fitted
from motet.graph import Graph
from motet.model import Model
from motet.store.folder import existing_store

TESTED = 0.2
"""Share of the events, the latest, that are tested on when nothing else is said."""


def name(target: str) -> str:
    return target.rpartition(":")[2]


LOADED: list[str] = []
"""The files that were loaded as modules, for processes elsewhere that are to load them too."""


def module(path: str, at: Path | None = None) -> ModuleType:
    """The file as a module; the folder we are in comes first on its path, as with `python -m`. at: where it lies, if
    elsewhere now."""
    return _module(path, at or Path(path))


def check_file(target: str) -> None:
    """Errors: no file is named, or it is not there. Nothing is loaded."""
    _exists(_file(target), Path(_file(target)))


def _file(target: str) -> str:
    path, colon, _ = target.rpartition(":")
    if not colon:
        raise RunError(f"{target!r} names no graph", help=f"{target}:GRAPH, such as examples/films/graph.py:films")
    return path


def _exists(path: str, file: Path) -> None:
    if not file.is_file():
        raise RunError(
            f"there is no file {path}",
            help="name a graph as FILE.py:GRAPH, such as examples/films/graph.py:films",
        )


@cache
def _module(path: str, file: Path) -> ModuleType:
    _exists(path, file)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    named = Path(path).resolve() if ".." in Path(path).parts else Path(path)
    dotted = ".".join(named.with_suffix("").parts)
    spec = importlib.util.spec_from_file_location(dotted, file)
    if spec is None or spec.loader is None:
        raise RunError(f"{path} is no Python file", help="name a graph as FILE.py:GRAPH")
    made, loader = importlib.util.module_from_spec(spec), spec.loader
    sys.modules[dotted] = made
    _found_by_pickle(dotted)
    _run(path, lambda: loader.exec_module(made))
    LOADED.append(str(file))
    return made


def _found_by_pickle(dotted: str) -> None:
    """A class is pickled by its module's name, whose first part must be one too: of a file elsewhere it is none."""
    above, dot, _ = dotted.partition(".")
    if dot and not (above.isidentifier() and importlib.util.find_spec(above)):
        sys.modules[above] = ModuleType(above)


def _run(path: str, work: Callable[[], Any]) -> Any:
    """What a user's file does; where it fails by itself, the line in it that failed is named."""
    try:
        return work()
    except MotetError:
        raise
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(path)]
        line = error.lineno if isinstance(error, SyntaxError) else (lines or [None])[-1]
        where = f"{path}:{line}" if line else path
        raise GraphError(f"{where}: {type(error).__name__}: {error}", help=f"correct {where}") from None


def graph(target: str, at: Path | None = None) -> Graph:
    """The graph that is named FILE.py:GRAPH. at: where the file lies now, if elsewhere."""
    path, wanted = _file(target), name(target)
    found = {n: value for n, value in vars(module(path, at)).items() if isinstance(value, Graph)}
    if wanted not in found:
        raise GraphError(f"{path} has no graph {wanted!r}", help=listed(found, wanted))
    return found[wanted]


def data(target: str) -> Data | None:
    """What the graph's file calls `data`: Data, or a function that makes them."""
    found: Any = getattr(module(target.rpartition(":")[0]), "data", None)
    made: Any = _run(target.rpartition(":")[0], found) if callable(found) else found
    return made


def needed(target: str) -> Data:
    found = data(target)
    if found is None:
        raise DataError(
            f"{target.rpartition(':')[0]} has no data",
            help='beside the graph: def data() -> mt.Data: return mt.Data({Film: "films.parquet", ...})',
        )
    return found


def split(graph: Graph, data: Data, *, at: str | None, last: int | None, by: str | None) -> tuple[Data, Data]:
    event = graph.event
    if event is None:
        raise GraphError("the graph is asked by no event, so there is nothing to test", help="motet prepare it")
    if (at, last, by) != (None, None, None):
        return data.split(at=at, last=last, by=None if by is None else getattr(event, by))
    times = data.tables[event].columns[event.time_field()]
    return data.split(at=int(np.quantile(np.asarray(times), 1 - TESTED, method="higher")))


def published(target: str, store: Path | None) -> Fitted:
    return fitted.published(graph(target), name=name(target), store=store, quiet=True)


def current(target: str, store: Path | None) -> int:
    """The number of the published version of exactly this graph. Errors: there is none."""
    number = published(target, store).version
    assert number is not None
    return number


def rollback(target: str, store: Path | None) -> int:
    return existing_store(store).rollback(name(target))


def models() -> list[dict[str, Any]]:
    """Every model that comes with Motet: its place, whether it is shallow or deep, its name, where it is declared, the
    files that it may read (megabytes and licence), what it cost where that was measured, and its first sentence.

    measured: on one machine of two cores, by bench/landscape.py and bench/costs.py. cpu_seconds, memory_mb: of a fit on
    `data`. ms: processor time of a row of `data`.
    """
    measured = json.loads((Path(motet.__file__).parent / "measured.json").read_text("utf-8"))
    rows: list[dict[str, Any]] = []
    for found in pkgutil.walk_packages(motet.models.__path__, "motet.models."):
        if not _is_called(found.name):
            continue
        place = found.name.removeprefix("motet.models.").rpartition(".")[0] or "any"
        held = vars(importlib.import_module(found.name))
        mine = [v for v in held.values() if inspect.isclass(v) and issubclass(v, Model) and v.__module__ == found.name]
        rows += [
            {
                "place": place,
                "depth": "deep" if m.deep else "shallow",
                "model": m.__name__,
                "module": found.name,
                "files": [_files(name) for name in m.packaged],
                "measured": measured.get(m.__name__),
                "says": _first(m),
            }
            for m in mine
            if _usable(m)
        ]
    return sorted(rows, key=lambda row: (row["place"], row["depth"], row["model"]))


def _files(name: str) -> dict[str, Any]:
    """What is fetched under a name."""
    found = [asset for asset in weights.catalogue() if asset.name.partition("/")[0] == name]
    licences = sorted({asset.licence for asset in found})
    return {"name": name, "mb": round(sum(asset.bytes for asset in found) / 1e6), "licence": ", ".join(licences)}


def _is_called(module: str) -> bool:
    """Whether a module says how something is called. The others need not be imported, nor what they import: torch."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None and "def __call__(" in Path(spec.origin).read_text()


def _usable(model: type[Any]) -> bool:
    """A model that a graph calls itself, not a part of another one."""
    return "__call__" in vars(model)


def _first(model: type[Any]) -> str:
    return (inspect.getdoc(model) or "").partition("\n")[0]
