"""Where a project's store is."""

from __future__ import annotations

import os
from pathlib import Path

from motet.errors import RunError
from motet.store import Store


def open_store(root: Path | str | None = None) -> Store:
    """The store at `root`; without one at MOTET_STORE, or else `.motet` in the folder we are in."""
    return Store(Path(root or os.environ.get("MOTET_STORE") or ".motet"))


def existing_store(root: Path | str | None = None) -> Store:
    """The store that `open_store` opens, for what only reads. Errors: nothing was ever kept there."""
    store = open_store(root)
    if not store.root.is_dir():
        raise RunError(f"there is no store in {store.root}", help=f"motet prepare FILE.py:GRAPH --store {store.root}")
    return store
