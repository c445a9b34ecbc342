"""The store: states, prepared columns, indexes over them, costly rows, versions, addressed by what made them.

Everything in it is whole or not there, whatever kills the process that writes it. Several graphs and
several processes may share one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote

from motet.arrow import from_arrow, to_arrow
from motet.batch import Value
from motet.cost import Cost
from motet.model import State
from motet.store import durable, ledger, sealed, states
from motet.store.cells import Cells
from motet.store.versions import Version, Versions, locked

HOUR = 3600.0
WEEK = 7 * 24 * HOUR


class Store:
    """A folder, made when something is first kept in it."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self._checked: dict[Path, tuple[int, int, int]] = {}

    def state(self, fingerprint: str) -> State | None:
        path = self._state(fingerprint)
        _touch(path)
        try:
            return states.read(path)
        except FileNotFoundError:
            return None

    def keep_state(self, fingerprint: str, state: State, about: Mapping[str, Any]) -> None:
        """about: what is said of it, as JSON: model, seconds, rows ..."""
        states.write(self._state(fingerprint), state, about)

    def about(self, fingerprint: str) -> dict[str, Any] | None:
        try:
            return states.about(self._state(fingerprint))
        except FileNotFoundError:
            return None

    def cells(self, fingerprint: str) -> Cells:
        """The rows of one costly column."""
        folder = self._cells(fingerprint)
        _touch(folder)
        return Cells(folder)

    def value(self, fingerprint: str) -> Value | None:
        """A whole prepared column, memory-mapped and read-only: processes that read it share its memory."""
        path = self._value(fingerprint)
        _touch(path)
        try:
            stat = path.stat()
            seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            batch = sealed.read(path, checked=self._checked.get(path) != seen)
        except FileNotFoundError:
            return None
        self._checked[path] = seen
        return from_arrow(batch)

    def keep_value(self, fingerprint: str, value: Value) -> None:
        """Keeps a column, once: an equal fingerprint means an equal value."""
        path = self._value(fingerprint)
        if not path.exists():
            sealed.write(path, to_arrow(value))
        _touch(path)

    def publish(self, manifest: Mapping[str, Any]) -> int:
        """Makes a new version current at once, and returns its number. manifest["graph"] names the graph.

        A manifest is JSON. Every fingerprint that stands anywhere in it is referred to: a sweep leaves it.
        """
        return self._versions(manifest["graph"]).publish(manifest)

    def current(self, graph: str) -> tuple[int, dict[str, Any]] | None:
        versions = self._versions(graph)
        number = versions.pointed()
        return None if number is None else (number, dict(versions.read(number).manifest))

    def pointed(self, graph: str) -> int | None:
        """The number of the current version: one small file, cheap to ask for every second."""
        return self._versions(graph).pointed()

    def version(self, graph: str, number: int) -> Version:
        """Errors: it is gone, never was, or is damaged."""
        return self._versions(graph).read(number)

    def versions(self, graph: str) -> list[Version]:
        """What was published, is still kept and can be read, oldest first."""
        return self._versions(graph).all()

    def damaged(self, graph: str) -> list[int]:
        """The numbers of the versions that are kept and cannot be read."""
        return self._versions(graph).damaged()

    def keep_report(self, graph: str, number: int, name: str, report: Mapping[str, Any]) -> None:
        """Keeps what was found out about a version, as JSON, for as long as the version is kept."""
        self._versions(graph).keep_report(number, name, report)

    def report(self, graph: str, number: int, name: str) -> dict[str, Any] | None:
        return self._versions(graph).report(number, name)

    def graphs(self) -> list[str]:
        """The names that something is published under."""
        return sorted(unquote(path.name) for path in self.root.glob("versions/*") if path.is_dir())

    def rollback(self, graph: str) -> int:
        """Makes the version current that was so before the current one, and returns its number; the newest whole one
        where the current one is damaged, or nothing says which it is."""
        return self._versions(graph).rollback()

    def cost(self, fingerprint: str) -> Cost | None:
        """What this model application has cost so far, in all runs."""
        return ledger.read(self.root / "costs.sqlite", fingerprint)

    def add_cost(self, fingerprint: str, cost: Cost) -> None:
        ledger.add(self.root / "costs.sqlite", fingerprint, cost)

    def sweep(self, keep: int = 3, seconds: float = WEEK) -> int:
        """Deletes what nothing but superseded versions refer to, and returns how many bytes that freed.

        What no version refers to stays: a fit that was never published may be costly.
        keep: versions per graph, newest first; the current one and the one before it stay in any case.
        seconds: what was touched more lately stays, and so do its versions, until a later sweep: another process
        may be about to publish it, or still answer from it.
        """
        freed = sum(_removed(path) for path in durable.leftovers(self.root, seconds))
        if not (graphs := [self._versions(name) for name in self.graphs()]):
            return freed
        with locked(self.root / "versions"):
            needed = {text for graph in graphs for version in graph.kept(keep) for text in _texts(version.manifest)}
            old = [(graph, version) for graph in graphs for version in graph.superseded(keep)]
            return freed + sum(self._swept(graph, version, needed, seconds) for graph, version in old)

    def _swept(self, graph: Versions, version: Version, needed: set[str], seconds: float) -> int:
        """Deletes a version whole, or nothing of it where something was touched lately."""
        gone = [path for text in set(_texts(version.manifest)) - needed for path in self._entries(text)]
        if any(_age(path) <= seconds for path in gone):
            return 0
        freed = sum(_removed(path) for path in gone)
        graph.forget(version.number)
        return freed

    def _entries(self, fingerprint: str) -> list[Path]:
        """What is kept under a fingerprint."""
        places = (self._state(fingerprint), self._value(fingerprint), self._cells(fingerprint))
        return [path for path in places if path.exists()]

    def _versions(self, graph: str) -> Versions:
        return Versions(self.root / "versions", graph)

    def _state(self, fingerprint: str) -> Path:
        return self.root / "states" / f"{quote(fingerprint, safe='')}.npz"

    def _cells(self, fingerprint: str) -> Path:
        return self.root / "cells" / quote(fingerprint, safe="")

    def _value(self, fingerprint: str) -> Path:
        return self.root / "values" / f"{quote(fingerprint, safe='')}{sealed.SUFFIX}"


def _texts(value: Any) -> Iterator[str]:
    """Every text in a manifest, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in cast(Mapping[Any, Any], value).items():
            yield from (*_texts(key), *_texts(item))
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _texts(item)


def _touch(path: Path) -> None:
    """Marks what is in use, at most once in a while, so that a sweep does not take it from a running fit."""
    if _age(path) > HOUR:
        with contextlib.suppress(OSError):
            os.utime(path)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _removed(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return size
