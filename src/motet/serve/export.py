"""What has happened, as a file that data can be bound to."""

from __future__ import annotations

import json
from pathlib import Path

from motet.errors import DataError, listed
from motet.outline import Outline
from motet.record import Event
from motet.serve.journal import Entry
from motet.serve.log import entries, opened
from motet.store import durable
from motet.store.folder import existing_store


def exported(
    outline: Outline,
    name: str,
    path: Path,
    kind: str | None = None,
    where: str | None = None,
    store: Path | None = None,
) -> int:
    """Writes the events of one kind, a JSON object of its fields a line, and returns how many there were.

    What was exported may stay in the log: a version whose data hold an event is not told of it again.
    kind: may be left out where the graph reads one kind of event. where: the log, as `motet serve --events` takes it.
    """
    kinds = {record.__name__: record for record in outline.records if issubclass(record, Event)}
    wanted = next(iter(kinds)) if kind is None and len(kinds) == 1 else kind
    if wanted not in kinds:
        what = "its kind is not given" if kind is None else f"{kind!r} is no event of the graph"
        raise DataError(f"which events are to be written? {what}", help=f"--type ...; {listed(kinds, kind or '')}")
    journal = opened(where, name, existing_store(store).root)
    rows = [_line(entry, kinds[wanted]) for entry in entries(journal) if entry.type == wanted]
    durable.write(path, lambda file: file.writelines(rows))
    return len(rows)


def _line(entry: Entry, event: type[Event]) -> bytes:
    """All fields of the event: those that it does not give are null."""
    given = json.loads(entry.fields)
    return f"{json.dumps({name: given.get(name) for name in event.fields})}\n".encode()
