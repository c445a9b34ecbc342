"""How far work elsewhere is: an actor keeps what it said last, and a thread of this process passes it on."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from motet.progress import Tick

OFTEN = 0.5  # seconds from word to word
PATIENCE = 5.0  # seconds that an answer may take

Word = tuple[int, int, str]


class Last:
    """The actor: what was said last."""

    def __init__(self) -> None:
        self._word: Word | None = None

    def say(self, *word: Any) -> None:
        self._word = word

    def word(self) -> Word | None:
        return self._word


@dataclass
class Teller:
    """Tells an actor how far the work is, as a progress bar is told. It goes with the work."""

    last: Any
    told: float = 0.0

    def __call__(self, done: int, of: int, said: str) -> None:
        now = time.monotonic()
        if done >= of or now - self.told >= OFTEN:
            self.told = now
            self.last.say.remote(done, of, said)


@contextlib.contextmanager
def telling(ray: Any, progress: Tick) -> Generator[Teller]:
    """What work elsewhere may tell, until the block ends."""
    last, over = ray.remote(num_cpus=0)(Last).remote(), threading.Event()

    def listen() -> None:
        heard: Word | None = None
        ended = False
        while not ended:
            ended = over.wait(OFTEN)
            with contextlib.suppress(ray.exceptions.RayError):  # where its node died nothing is told any more
                word = ray.get(last.word.remote(), timeout=PATIENCE)
                if word is not None and word != heard:
                    progress(*word)
                    heard = word

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield Teller(last)
    finally:
        over.set()
        listener.join()
        ray.kill(last)
