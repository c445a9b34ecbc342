"""Which requests go together: a thread waits a moment for those whom it has just answered, where that is worth it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from motet.serve import batching
from motet.serve.batching import Batching, Worker

LONG = 2.0  # seconds that a thread would wait for its clients, were nothing to end it


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LONGEST", LONG)


@pytest.fixture
def two() -> Iterator[tuple[Batching[int], Worker, Worker]]:
    """A free thread that has just answered three, and another one that works on two."""
    made = Batching[int](2, 16, lambda request: False)
    free, other = made.worker(), made.worker()
    with ExitStack() as ends:
        made.waiting.extend([1, 2])
        assert ends.enter_context(made.turn(other)) == ([1, 2], True)
        free.answered, free.seconds = 3, LONG / batching.PATIENCE
        yield made, free, other


def arrive(made: Batching[int], *requests: int, after: float = 0.1) -> threading.Timer:
    def come() -> None:
        made.waiting.extend(requests)
        made.call()

    timer = threading.Timer(after, come)
    timer.start()
    return timer


def taken(made: Batching[int], worker: Worker) -> tuple[list[int], float]:
    """The next batch, and the seconds until it was taken."""
    began = time.perf_counter()
    with made.turn(worker) as (batch, _):
        return batch, time.perf_counter() - began


def test_those_who_ask_again_at_once_come_along(two: tuple[Batching[int], Worker, Worker]) -> None:
    made, free, _ = two
    made.waiting.append(3)
    arrive(made, 4, 5)
    batch, seconds = taken(made, free)
    assert batch == [3, 4, 5]
    assert 0.05 < seconds < LONG / 2


def test_a_thread_waits_for_its_share_and_not_for_all_that_it_answered(
    two: tuple[Batching[int], Worker, Worker],
) -> None:
    """Seven are on their way, four for each of two threads."""
    made, free, _ = two
    free.answered = 5
    arrive(made, 3, 4, 5, 6)
    batch, seconds = taken(made, free)
    assert batch == [3, 4, 5, 6]
    assert seconds < LONG / 2


def test_who_lingers_is_left_a_share(two: tuple[Batching[int], Worker, Worker]) -> None:
    """The thread that waits for its three clients, and another one that comes for work when six have asked."""
    made, free, _ = two
    third = made.worker()
    lingering = threading.Thread(target=taken, args=(made, free))
    lingering.start()
    while not made._lingering:
        time.sleep(0.001)
    with made._lock:
        made.waiting.extend(range(6))
        assert made._take(third)[0] == [0, 1, 2]
    made.call()
    lingering.join(LONG)
    assert not lingering.is_alive()
    assert not made.waiting


def test_nobody_waits_for_company_while_the_other_threads_are_free() -> None:
    made = Batching[int](2, 16, lambda request: False)
    free = made.worker()
    free.answered, free.seconds = 3, LONG / batching.PATIENCE
    made.waiting.append(1)
    batch, seconds = taken(made, free)
    assert batch == [1]
    assert seconds < LONG / 2


def test_a_wait_ends_with_its_time(two: tuple[Batching[int], Worker, Worker]) -> None:
    made, free, _ = two
    made.waiting.append(3)
    free.seconds = 0.1 / batching.PATIENCE
    batch, seconds = taken(made, free)
    assert batch == [3]
    assert 0.05 < seconds < LONG / 2


def test_where_clients_do_not_come_back_waiting_for_them_becomes_rare(
    two: tuple[Batching[int], Worker, Worker],
) -> None:
    made, free, _ = two
    waits = 0
    for request in range(100):
        made.waiting.append(request)
        free.answered, free.seconds = 3, 0.02 / batching.PATIENCE
        waits += taken(made, free)[1] > 0.01
    assert waits < 25


def test_the_end_is_not_waited_for(two: tuple[Batching[int], Worker, Worker]) -> None:
    made, free, _ = two
    threading.Timer(0.1, made.close).start()
    batch, seconds = taken(made, free)
    assert batch == []
    assert seconds < LONG / 2
    assert made.ended()
