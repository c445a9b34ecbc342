"""How much resident memory a piece of work has added at most."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from motet import memory
from motet.memory import Peak

MB = 1 << 20
NEAR = 8 * MB  # the kernel counts roughly, and the interpreter takes some too


def use(mb: int) -> None:
    """New memory of the system's: what was freed before would serve anew, and not be seen."""
    with mmap.mmap(-1, mb * MB) as room:
        np.frombuffer(room, np.uint8)[:] = 1


def test_what_is_free_again_at_the_end_counts() -> None:
    peak = Peak()
    use(64)
    assert peak.end() == pytest.approx(64 * MB, abs=NEAR)
    peak = Peak()
    assert peak.end() == pytest.approx(0, abs=NEAR)


def test_work_inside_of_work_hides_nothing_of_it() -> None:
    outer = Peak()
    use(64)
    inner = Peak()
    use(16)
    assert inner.end() == pytest.approx(16 * MB, abs=NEAR)
    assert outer.end() == pytest.approx(64 * MB, abs=NEAR)


def test_two_that_watch_at_once_see_each_others_work() -> None:
    one = Peak()
    other = Peak()
    use(32)
    assert one.end() == pytest.approx(32 * MB, abs=NEAR)
    use(64)
    assert other.end() == pytest.approx(64 * MB, abs=NEAR)


def test_the_most_of_the_process_is_not_forgotten() -> None:
    start = Peak()
    use(96)
    most = memory.highest()
    assert most is not None
    start.end()
    Peak().end()
    assert memory.highest() == pytest.approx(most, abs=NEAR)


@pytest.mark.parametrize("gone", ["STATUS", "MARK"])
def test_where_the_system_does_not_tell_there_is_no_figure(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, gone, Path("/proc/self/no/such/file"))
    assert Peak().end() is None
    assert gone == "MARK" or memory.highest() is None
