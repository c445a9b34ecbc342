"""Rows that are committed to another file system, until a store takes them in."""

from pathlib import Path

import numpy as np
import pytest

import motet as mt
from motet.store.blocks import Blocks
from motet.store.cells import Cells, row_hashes

HASHES = row_hashes("column", [np.arange(6.0)])
VALUES = np.arange(6) * 1.5


@pytest.fixture(params=["file", "local"])  # a file system of Arrow's, and one of fsspec's
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}://{tmp_path}/blocks"


def test_what_is_committed_is_taken_in_once_and_deleted(url: str, tmp_path: Path) -> None:
    blocks, cells = Blocks(url, "column"), Cells(tmp_path / "cells")
    blocks.add(HASHES[:4], VALUES[:4], [None, "odd", None, None])
    blocks.add(HASHES[4:], VALUES[4:])
    blocks.add(HASHES[4:], VALUES[4:])
    assert not cells.known(HASHES).any()
    places = list(Blocks(url, "column").taken(cells))
    assert len(places) == 2
    assert np.array_equal(np.asarray(cells.read(HASHES)), VALUES)
    assert cells.problems(HASHES) == {"odd": 1}
    list(blocks.taken(cells))
    assert cells.problems(HASHES) == {"odd": 1}
    blocks.delete(places)
    assert list(blocks.taken(cells)) == []


def test_a_block_is_known_by_its_rows(url: str) -> None:
    blocks = Blocks(url, "column")
    blocks.add(HASHES[:4], VALUES[:4])
    assert blocks.known(HASHES[:4]).all()
    assert not blocks.known(HASHES[:3]).any()
    assert not Blocks(url, "another").known(HASHES[:4]).any()


def test_what_was_never_finished_is_no_block(url: str, tmp_path: Path) -> None:
    blocks, cells = Blocks(url, "column"), Cells(tmp_path / "cells")
    blocks.add(HASHES[:4], VALUES[:4])
    (file,) = (tmp_path / "blocks" / "column").iterdir()
    (file.parent / "0.arrows.1234.unfinished").write_bytes(file.read_bytes()[:50])
    assert len(list(blocks.taken(cells))) == 1


def test_a_block_that_is_cut_off_is_said(url: str, tmp_path: Path) -> None:
    blocks = Blocks(url, "column")
    blocks.add(HASHES[:4], VALUES[:4])
    (file,) = (tmp_path / "blocks" / "column").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(mt.RunError, match="is damaged: it is cut off"):
        list(blocks.taken(Cells(tmp_path / "cells")))


@pytest.mark.parametrize("url", ["nowhere://a/b", "no address"])
def test_what_is_no_file_system_is_said(url: str) -> None:
    with pytest.raises(mt.RunError, match="cannot be used as a folder of blocks"):
        Blocks(url, "column").add(HASHES, VALUES)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(mt.RunError, match="cannot be used as a folder of blocks"):
        Blocks(f"file://{tmp_path}/file", "column").add(HASHES, VALUES)
