"""What tests of the server share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from motet.serve.journal import Journal
from motet.serve.log_postgres import PostgresJournal
from motet.serve.log_sqlite import SqliteJournal
from tests.serve.database import Database, running

_names = itertools.count()


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    yield from running()


@pytest.fixture(params=["sqlite", "postgres"])
def journals(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Journal]]:
    """Makes journals of one place, each as another process would have it: every kind must hold the same."""
    made: list[Journal] = []
    name = f"goods {next(_names)}"
    url = request.getfixturevalue("database").url if request.param == "postgres" else ""

    def journal() -> Journal:
        made.append(PostgresJournal(url, name) if url else SqliteJournal(tmp_path / "events.sqlite"))
        return made[-1]

    yield journal
    for each in made:
        each.close()
