"""Progress of long work: bars on a terminal, now and then a line in a log, nothing where nobody wants to know."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

Tick = Callable[[int, int, str], None]
EVERY = 10.0  # seconds between the lines of one piece of work in a log


class Progress:
    """Where long work says how far it is. quiet: nothing is shown."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._rows: dict[Any, Tick] = {}
        shown = TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn()
        self._bars = Bars(*shown, TextColumn("{task.fields[said]}"), console=self._console)

    @contextmanager
    def bar(self, label: str) -> Generator[Tick]:
        """A bar for one piece of work; what it yields is told (done, of, what it says)."""
        try:
            yield self._begun(label)
        finally:
            self._rows.clear()  # of columns that the work was in the middle of when it raised
            self._ended()

    def rows(self, name: Callable[[Any], str]) -> Callable[[Any, int, int], None]:
        """A bar for every column whose rows are computed; told (column, rows done, rows in all)."""

        def tick(column: Any, done: int, of: int) -> None:
            if column not in self._rows:
                self._rows[column] = self._begun(f"compute {name(column)}")
            self._rows[column](done, of, "rows")
            if done >= of:
                del self._rows[column]
                self._ended()

        return tick

    def found(self, label: str) -> None:
        """Says that a piece of work was done before and is not done again."""
        self._console.print(f"{label}  [dim]unchanged, kept[/dim]")

    def _begun(self, label: str) -> Tick:
        if not self._console.is_terminal:
            return self._lines(label)
        task: TaskID = self._bars.add_task(label, total=None, said="")
        self._bars.start()
        return lambda done, of, said: self._bars.update(task, completed=done, total=of, said=said)

    def _ended(self) -> None:
        """Stops drawing when nothing is under way; what is done stays on the screen."""
        if not self._rows and self._console.is_terminal:
            self._bars.stop()

    def _lines(self, label: str) -> Tick:
        began = last = time.monotonic()

        def tick(done: int, of: int, said: str) -> None:
            nonlocal last
            now = time.monotonic()
            if done >= of or now - last >= EVERY:
                last = now
                self._console.print(f"{label}: {done:,} of {of:,} {said}, {now - began:.0f} s", markup=False)

        return tick
