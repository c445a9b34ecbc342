"""Tables as plain text: what reports print, in a terminal or in a file."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from motet.metrics.intervals import Estimate

WIDE = 1_000  # characters: a figure is never cut, a terminal that is narrower breaks the line


def printed(table: Table, width: int = WIDE) -> list[str]:
    """Its lines, without colours."""
    console = Console(width=width, no_color=True, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


def warned(problems: Mapping[str, int]) -> list[str]:
    """What could not be had while measuring, one a line."""
    return [f"{n} x {why}" for why, n in problems.items()]


def money(figure: Estimate) -> str:
    """An amount and its interval, where there is one."""
    interval = "" if figure.low is None else f" [{amount(figure.low)}, {amount(figure.high)}]"
    return f"{amount(figure.value)}{interval}"


def amount(given: float | None) -> str:
    """To three digits; large ones to the unit, and nothing without a sign."""
    return "" if given is None else f"{given:,.0f}" if abs(given) >= 1_000 else f"{given + 0.0:.3g}"
