"""Progress of long work on a terminal: one bar a piece, with its rate; silent where nobody looks."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

Tick = Callable[[int, int, str], None]


class Progress:
    """Where long work says how far it is. quiet: nothing is shown."""

    def __init__(self, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False)

    @contextmanager
    def bar(self, label: str) -> Generator[Tick]:
        """A bar for one piece of work; what it yields is told (done, of, what it says)."""
        shown = TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn()
        with Bars(*shown, TextColumn("{task.fields[said]}"), console=self._console) as bars:
            task = bars.add_task(label, total=None, said="")

            def tick(done: int, of: int, said: str) -> None:
                bars.update(task, completed=done, total=of, said=said)

            yield tick
            total = bars.tasks[task].total or 1
            bars.update(task, completed=total, total=total)

    def rows(self, name: Callable[[Any], str]) -> Callable[[Any, int, int], None]:
        """A line for every column whose rows are computed; told (column, rows done, rows in all)."""
        bars: dict[Any, tuple[Bars, Any]] = {}

        def tick(column: Any, done: int, of: int) -> None:
            if column not in bars:
                shown = Bars(
                    TextColumn("{task.description}"),
                    BarColumn(24),
                    MofNCompleteColumn(),
                    TimeElapsedColumn(),
                    console=self._console,
                )
                shown.start()
                bars[column] = shown, shown.add_task(f"prepare {name(column)}", total=of)
            shown, task = bars[column]
            shown.update(task, completed=done)
            if done >= of:
                shown.stop()
                del bars[column]

        return tick

    def found(self, label: str) -> None:
        """Says that a piece of work was done before and is not done again."""
        self._console.print(f"{label}  [dim]unchanged, kept[/dim]")
