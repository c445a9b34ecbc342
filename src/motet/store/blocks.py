"""Blocks: rows that workers have committed to any file system of Arrow or fsspec, until a store takes them in.

A block is a file that is written beside and then moved into place, so it is whole or not there; its checksum says so
too. It is named after the rows that it holds, so who computes them once more commits the same block.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.fs

from motet.batch import Array, Value
from motet.errors import MotetError, RunError
from motet.model import digest
from motet.store import sealed
from motet.store.cells import Cells
from motet.store.chunks import Chunk
from motet.store.durable import UNFINISHED

ARROW: Any = pyarrow.fs


class Blocks:
    """The blocks of one column. url: a folder, such as s3://bucket/films or file:///mnt/films."""

    def __init__(self, url: str, column: str) -> None:
        self._url = url
        self._files, root = _opened(url)
        self._folder = f"{root}/{column}"

    def known(self, hashes: Array) -> Array:
        """Whether these rows were committed as one block: all of them or none."""
        found = self._files.get_file_info(self._place(hashes)).type == ARROW.FileType.File
        return np.full(len(hashes), bool(found))

    def add(self, hashes: Array, value: Value, problems: Sequence[str | None] | None = None) -> None:
        """Commits these rows as one block."""
        if not len(hashes):
            return
        made, place = io.BytesIO(), self._place(hashes)
        sealed.pour(made, Chunk.of(hashes, value, problems).batch())
        beside = f"{place}.{secrets.token_hex(6)}{UNFINISHED}"
        try:
            self._files.create_dir(self._folder, recursive=True)
            with self._files.open_output_stream(beside) as file:
                file.write(made.getbuffer())
            self._files.move(beside, place)
        except OSError as error:
            raise _refused(self._url, error) from error

    def taken(self, cells: Cells) -> Iterator[str]:
        """Adds every block that is there to the cells, and says where it was: it may then be deleted."""
        for place in self._places():
            chunk = Chunk.read(self._read(place), place)
            new = ~cells.known(chunk.hashes)
            if new.any():
                cells.add(chunk.hashes, chunk.value, cast("list[str | None]", chunk.problems.to_pylist()))
            yield place

    def delete(self, places: Sequence[str]) -> None:
        for place in places:
            self._files.delete_file(place)

    def _places(self) -> list[str]:
        try:
            found = self._files.get_file_info(ARROW.FileSelector(self._folder, allow_not_found=True))
        except OSError as error:
            raise _refused(self._url, error) from error
        return sorted(each.path for each in found if each.path.endswith(sealed.SUFFIX))

    def _read(self, place: str) -> pa.Buffer:
        with self._files.open_input_stream(place) as file:
            return file.read_buffer()

    def _place(self, hashes: Array) -> str:
        return f"{self._folder}/{digest(np.ascontiguousarray(hashes).tobytes())}{sealed.SUFFIX}"


def _opened(url: str) -> tuple[Any, str]:
    """A file system of Arrow's, or else one of fsspec's, and the folder in it."""
    if "://" not in url:
        raise _refused(url, ValueError("it names no file system"))
    try:
        files, root = cast("tuple[Any, str]", ARROW.FileSystem.from_uri(url))
        return files, root.rstrip("/")
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        first = error
    try:
        import fsspec.core

        core: Any = fsspec.core
        found, root = cast("tuple[Any, str]", core.url_to_fs(url))
    except (ImportError, ValueError):
        raise _refused(url, first) from None
    return ARROW.PyFileSystem(ARROW.FSSpecHandler(found)), root.rstrip("/")


def _refused(url: str, error: Exception) -> MotetError:
    text = f"{url} cannot be used as a folder of blocks: {str(error).rstrip('.')}"
    return RunError(text, help='mt.Ray(blocks="s3://bucket/folder"), or file:///a/folder/that/all/nodes/have')
