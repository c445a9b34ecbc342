"""Where a project's store is."""

from __future__ import annotations

import os
from pathlib import Path

from motet.store import Store


def open_store(root: Path | str | None = None) -> Store:
    """The store at `root`; without one at MOTET_STORE, or else `.motet` in the folder we are in."""
    return Store(Path(root or os.environ.get("MOTET_STORE") or ".motet"))
