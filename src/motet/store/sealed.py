"""Arrow files that know whether they are whole: an IPC stream, then its length and checksum.

Readers of Arrow streams stop at the stream's end, so other programs read these files too.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from motet.store import durable

SUFFIX = ".arrows"
_SEAL = struct.Struct("<8sQI")
_MARK = b"\nmotet1\n"


class _Summed(io.RawIOBase):
    """Counts and sums what passes through to a file."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size, self.sum = file, 0, 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.size += memoryview(data).nbytes
        self.sum = zlib.crc32(data, self.sum)
        return self.file.write(data)


def write(path: Path, batch: pa.RecordBatch) -> None:
    """Keeps a batch at a path, in place of what was there."""
    durable.write(path, lambda file: pour(file, batch))


def pour(file: BinaryIO, batch: pa.RecordBatch) -> None:
    summed = _Summed(file)
    with pa.ipc.new_stream(summed, batch.schema) as stream:
        stream.write_batch(batch)
    file.write(_SEAL.pack(_MARK, summed.size, summed.sum))


def read(path: Path, checked: bool = True) -> pa.RecordBatch:
    """The batch kept at a path, memory-mapped. FileNotFoundError if there is none.

    checked: compare the checksum, which reads the whole file once.
    """
    try:
        with pa.memory_map(str(path)) as file:
            data = file.read_buffer()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise durable.unreadable(path, error) from error
    return opened(data, path, checked)


def opened(data: pa.Buffer, path: Path, checked: bool) -> pa.RecordBatch:
    """The batch in a sealed buffer; the path is what an error names."""
    size = data.size - _SEAL.size
    mark, length, total = _SEAL.unpack(data.slice(max(size, 0))) if size >= 0 else (b"", 0, 0)
    if mark != _MARK or length != size:
        raise durable.damaged(path, "it is cut off, or something else wrote into it")
    stream = data.slice(0, size)
    if checked and zlib.crc32(stream) != total:
        raise durable.damaged(path, "its checksum does not match")
    return pa.ipc.open_stream(stream).read_next_batch()
