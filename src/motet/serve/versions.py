"""Which version answers: one that is published takes over without a pause, once it has proved itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from motet import loading
from motet.errors import GraphError, MotetError
from motet.fitted import published
from motet.outline import Outline
from motet.serve.beside import Share
from motet.serve.metrics import Metrics
from motet.serve.trial import Row, examples, try_out
from motet.serve.version import Version

LOG = logging.getLogger("motet.serve")
EVERY = 1.0  # seconds between looks at what is published


class Versions:
    """Loads versions of one graph and lets them prove themselves. Its methods block, and are called one at a time.

    name: of the graph. catch_up: called with a version before it is tried, so that it has seen what has happened.
    shared: a folder where the workers of a server tell each other what was refused.
    """

    def __init__(
        self, name: str, metrics: Metrics, catch_up: Callable[[Version], None], shared: Path | None = None
    ) -> None:
        self.name, self._metrics, self._catch_up, self._shared = name, metrics, catch_up, shared
        self._refused = set[int]()

    def first(self, version: Version) -> Version:
        """The version to begin with: this one if it proves itself, else the newest one before it that does.

        Errors: why this one did not, where there is no other.
        """
        if not self._is_refused(version.number) and self._proved(version, None, examples(version)):
            return version
        before = version.fitted.store.version(self.name, version.number).before
        return self.first(self.load(version, before)) if before is not None else self._none_left(version)

    def next(self, now: Version, asks: Sequence[Row]) -> Version | None:
        """The version that is published, if it is another than the one that answers now and proves itself.

        asks: what it is asked; without any, examples from its data.
        """
        number = now.fitted.store.pointed(self.name)
        if number is None or number == now.number or self._is_refused(number):
            return None
        try:
            new = self.load(now, number)
        except MotetError as error:
            self._refuse(number, error)
            return None
        return new if self._proved(new, now, asks or examples(new)) else None

    def beside(self, now: Version, share: Share, asks: Sequence[Row] = ()) -> Version | None:
        """A version to run beside the one that answers, None where it is refused. Errors: it cannot be loaded."""
        outline = loading.graph(share.target) if share.target else now.outline
        made = now.fitted.store.version(self.name, share.number).manifest
        if made["fingerprint"] != outline.fingerprint:
            raise GraphError(
                f"version {share.number} is of another definition of {self.name} than {share.target or 'is served'}",
                help=f"say where it is defined: before.py:{self.name}@{share.number}=5%",
            )
        new = self.load(now, share.number, outline)
        return new if self._proved(new, now, asks or examples(new)) else None

    def load(self, like: Version, number: int, outline: Outline | None = None) -> Version:
        """Another version of the same graph from the same store. outline: how that one is defined."""
        graph, store = outline or like.outline, like.fitted.store.root
        return Version(published(graph, name=self.name, store=store, quiet=True, version=number), number)

    def _proved(self, new: Version, old: Version | None, asks: Sequence[Row]) -> bool:
        try:
            self._catch_up(new)
            try_out(new, old, asks)
        except Exception as error:
            self._refuse(new.number, error)
            return False
        return True

    def _refuse(self, number: int, error: Exception) -> None:
        self._refused.add(number)
        self._metrics.refused.inc()
        if self._shared is not None:
            self._mark(self._shared, number).touch()
        LOG.error("version %d of %s is refused: %s", number, self.name, error)

    def _is_refused(self, number: int) -> bool:
        return number in self._refused or (self._shared is not None and self._mark(self._shared, number).exists())

    def _mark(self, folder: Path, number: int) -> Path:
        return folder / f"refused-{number}"

    def _none_left(self, version: Version) -> Version:
        try_out(version, None, examples(version))
        return version
