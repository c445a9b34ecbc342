"""Resident memory of this process: how much a piece of work has added at most, by the mark that Linux keeps.

Files that are mapped and have been read count. So does whatever else runs in the process meanwhile. What was taken
before, is free again and was not given back may serve anew and is not seen: a figure is the least that was needed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from threading import Lock

STATUS, MARK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_LOWER = b"5"  # sets the mark of the most to what is resident now

_lock = Lock()
_open: list[Peak] = []
_before = 0  # the most, as of when the mark was last lowered


class Peak:
    """Watches from now on, until `end`. Several may watch at once, one inside the other or beside it."""

    def __init__(self) -> None:
        with _lock:
            self._began = _lowered()
            self.highest = self._began or 0
            if self._began is not None:
                _open.append(self)

    def end(self) -> int | None:
        """Bytes that were resident at most beyond those at the beginning. None where the system does not tell: it has
        no /proc, or does not let a process lower its own mark."""
        if self._began is None:
            return None
        with _lock:
            _tell(_read()[1])
            _open.remove(self)
        return self.highest - self._began


def highest() -> int | None:
    """Bytes that were resident at most since the process began. The system's own mark (VmHWM, ru_maxrss) says so only
    as of the latest Peak."""
    with _lock:
        try:
            return max(_before, _read()[1])
        except OSError:
            return None


def give_back() -> None:
    """What was loaded or worked with and nobody needs any more goes back to the system, where its C library can."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _lowered() -> int | None:
    """Lowers the mark to what is resident now, after those who watch have been told of it."""
    global _before
    try:
        now, most = _read()
        with MARK.open("wb", 0) as mark:
            mark.write(_LOWER)
    except OSError:
        return None
    _before = max(_before, most)
    _tell(most)
    return now


def _tell(most: int) -> None:
    for peak in _open:
        peak.highest = max(peak.highest, most)


def _read() -> tuple[int, int]:
    """Bytes that are resident now, and at most since the mark was lowered."""
    file = os.open(STATUS, os.O_RDONLY)
    try:
        said = os.read(file, 1 << 14)
    finally:
        os.close(file)
    now, most = (1024 * int(said[said.index(name) + len(name) :].split(None, 1)[0]) for name in (b"VmRSS:", b"VmHWM:"))
    return now, max(now, most)
