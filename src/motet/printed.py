"""Tables as plain text: what reports print, in a terminal or in a file."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def printed(table: Table, width: int) -> list[str]:
    """Its lines, no wider than so many characters, without colours."""
    console = Console(width=width, no_color=True, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]
