"""What tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # on a busy one an example may take seconds
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of data sets that are too large, or not ours, to come with the project."""
    given = os.environ.get("MOTET_DATA")
    if not given:
        pytest.skip("needs larger data: set MOTET_DATA to their folder (docs say which)")
    folder = Path(given)
    if not folder.is_dir():
        pytest.fail(f"MOTET_DATA is {given!r}, which is not a folder")
    return folder
