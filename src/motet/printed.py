"""Tables as plain text: what reports print, in a terminal or in a file."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from motet.metrics.intervals import Estimate


def printed(table: Table, width: int) -> list[str]:
    """Its lines, no wider than so many characters, without colours."""
    console = Console(width=width, no_color=True, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


def money(figure: Estimate) -> str:
    """An amount and its interval, where there is one."""
    if figure.value is None or figure.low is None or figure.high is None:
        return "" if figure.value is None else f"{figure.value:.4g}"
    return f"{figure.value:.4g} [{figure.low:.4g}, {figure.high:.4g}]"
