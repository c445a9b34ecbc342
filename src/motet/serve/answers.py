"""A log of what was answered, one JSON object a line, with what is needed to judge a version by it later."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from motet.errors import RunError
from motet.serve.engine import Reply

LOG = logging.getLogger("motet.serve")


class Answers:
    """Appends to a file that several workers may share: a line is written whole. Errors: it cannot be opened."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise RunError(f"cannot write answers to {path}: {error.strerror}", help="--answers FILE") from error
        self._failing = False

    def keep(self, ask: Mapping[str, Any], reply: Reply) -> None:
        """A line that cannot be written is lost: nobody's answer waits for a disk to have room again."""
        line = {"at": time.time(), "version": reply.version, "propensity": reply.propensity, "ask": ask}
        line |= {"answer": reply.answer, "answered_by": reply.answered_by}
        line |= {} if reply.rival is None else {"rival": reply.rival, "ours": reply.ours}
        try:
            os.write(self._file, msgspec.json.encode(line) + b"\n")
            self._failing = False
        except OSError as error:
            if not self._failing:
                LOG.error("answers are not logged: %s", error.strerror)
            self._failing = True

    def close(self) -> None:
        os.close(self._file)
