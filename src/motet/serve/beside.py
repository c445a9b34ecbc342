"""Another version beside the current one: a canary answers some viewers, a shadow is only compared.

One whose items are shown among the current version's is in `interleave`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from threading import Semaphore
from typing import Any, cast

from motet.answer import Answer
from motet.errors import GraphError
from motet.serve.metrics import Metrics
from motet.serve.version import Version

Row = Mapping[str, Any]
WAITING = 4  # asks that a shadow may be behind; it skips the others
SAMPLE = 0.1  # share that a shadow or an interleaved version gets, where nothing is said


@dataclass(frozen=True)
class Share:
    """A version by its number, and how much it gets: 0.05 is one in twenty. target: the graph that it is a version of,
    where that is defined otherwise than the one that is served."""

    number: int
    share: float
    target: str | None = None

    @staticmethod
    def read(text: str, usual: float | None = None) -> Share:
        """7=5%, or 7=0.05; 7 alone where there is a usual share; before.py:films@7=5% of another definition."""
        target, _, rest = text.rpartition("@")
        number, equals, share = rest.partition("=")
        try:
            part = float(share.removesuffix("%")) / (100 if share.endswith("%") else 1) if equals else usual
            if part is not None and 0 < part <= 1:
                return Share(int(number), part, target or None)
        except ValueError:
            pass
        help = "VERSION=SHARE, such as 7=5%, or before.py:films@7=5% of another definition of the graph"
        raise GraphError(f"{text!r} is no share of a version", help=help)


@dataclass(frozen=True)
class Canary:
    """Answers a share of the viewers, always the same ones, whichever worker they ask.

    Where asks name nobody, the share is one of asks.
    """

    version: Version
    share: float

    def answers(self, row: Row) -> bool:
        return drawn(self.version, row, self.share, b"canary")


def drawn(version: Version, row: Row, share: float, purpose: bytes) -> bool:
    """Whether who asks is of such a share of the viewers, which is another one for each purpose."""
    name = version.event.first_reference()
    viewer = dict(row) if name is None else row.get(name)
    found = blake2b(str(viewer).encode("utf-8", "surrogatepass"), digest_size=8, person=purpose).digest()
    return int.from_bytes(found, "big") < share * 2.0**64


class Shadow:
    """Answers a share of the asks again, after they were answered, and counts how it compares.

    catch_up: called with the version before it answers.
    """

    def __init__(self, version: Version, share: float, metrics: Metrics, catch_up: Callable[[Version], None]) -> None:
        self.version, self.share, self._metrics, self._catch_up = version, share, metrics, catch_up
        self._free = Semaphore(WAITING)
        self._thread = ThreadPoolExecutor(1, "motet-shadow")

    def see(self, row: Row, answer: Answer, seconds: float) -> None:
        """An ask with what the current version answered, and how long that took."""
        if random.random() >= self.share:
            return
        if self._free.acquire(blocking=False):
            self._thread.submit(self._compare, row, answer, seconds)
        else:
            self._metrics.shadow_dropped.inc()

    def _compare(self, row: Row, answer: Answer, seconds: float) -> None:
        began = time.perf_counter()
        try:
            self._catch_up(self.version)
            other = self.version.begin([row]).early()[0]
        except Exception:
            self._metrics.shadow_failed.inc()
            return
        finally:
            self._free.release()
        self._metrics.shadow_asks.inc()
        self._metrics.shadow_seconds.inc(time.perf_counter() - began)
        self._metrics.shadow_ours.inc(seconds)
        equal = all(_best(answer.get(name)) == _best(value) for name, value in other.items())
        self._metrics.shadow_equal.inc(int(equal))

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)


def _best(value: Any) -> Any:
    """The first of several, without its score; one value is its own best."""
    several = cast("list[Any]", value) if isinstance(value, list) else [value]
    first = several[0] if several else None
    if not isinstance(first, dict):
        return first
    return {name: part for name, part in cast(Answer, first).items() if name != "score"}
