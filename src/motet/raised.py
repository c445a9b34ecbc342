"""Where in what its author wrote a model failed: a module, a training function, an estimator."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

INSTALLED = (str(Path(__file__).parent), *{sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def place(error: BaseException, otherwise: str) -> str:
    """The innermost line that is neither Motet's nor an installed package's, and what to say where there is none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(INSTALLED)]
    frames = [frame for frame in frames if not frame.filename.startswith("<")]
    return f"look at {frames[-1].filename}:{frames[-1].lineno}" if frames else otherwise
