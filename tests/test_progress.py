"""Bars that begin and end with their work."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from motet import progress
from motet.progress import Progress

HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"  # the cursor, which no bar may take with it


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    screen = StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "Console", lambda **given: Console(file=screen, force_terminal=True))
    return screen


def test_a_bar_ends_with_its_work(terminal: StringIO) -> None:
    with Progress().bar("fit taste") as tick:
        tick(3, 4, "epochs")
        assert terminal.getvalue().count(HIDDEN) == 1
        assert SHOWN not in terminal.getvalue()
    assert terminal.getvalue().count(SHOWN) == 1
    assert "fit taste" in terminal.getvalue()


def test_a_bar_ends_where_its_work_raises_in_the_middle_of_a_columns_rows(terminal: StringIO) -> None:
    def failing(shown: Progress) -> None:
        with shown.bar("fit taste"):
            shown.rows(str)("meaning", 3, 4)
            raise ValueError("thirteen")

    with pytest.raises(ValueError, match="thirteen"):
        failing(Progress())
    assert terminal.getvalue().count(SHOWN) == terminal.getvalue().count(HIDDEN) == 1


def test_rows_end_when_all_are_done(terminal: StringIO) -> None:
    tick = Progress().rows(str)
    tick("meaning", 3, 4)
    assert SHOWN not in terminal.getvalue()
    tick("meaning", 4, 4)
    assert terminal.getvalue().count(SHOWN) == 1
