"""How many cores a native library may use."""

from __future__ import annotations

import os


def threads() -> int:
    """OMP_NUM_THREADS where it is set, else the cores that this process may run on."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else len(os.sched_getaffinity(0))
