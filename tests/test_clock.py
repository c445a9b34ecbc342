"""The clocks that work is metered by."""

import threading
import time
from collections.abc import Iterator

import pytest

from motet.clock import Clock, library, once, processor, wall


@pytest.fixture
def paused() -> Iterator[threading.Event]:
    """Somebody else loads until this is set."""
    done, begun = threading.Event(), threading.Event()

    def load() -> None:
        with once():
            begun.set()
            done.wait(10)

    other = threading.Thread(target=load)
    other.start()
    begun.wait(10)
    yield done
    done.set()
    other.join()


def test_a_clock_goes_on_from_where_it_stood() -> None:
    now = [5.0]
    clock = Clock(lambda: now[0])
    clock.stop()
    now[0] = 8.0
    assert clock() == 5.0
    clock.go_on()
    now[0] = 9.0
    assert clock() == 6.0


def test_the_clocks_stand_still_while_something_is_loaded() -> None:
    began = wall(), processor()
    with once():
        until = time.process_time() + 0.1
        while time.process_time() < until:
            library("motet.errors")
        assert (wall(), processor()) == pytest.approx(began, abs=0.02)
    assert (wall(), processor()) == pytest.approx(began, abs=0.02)


def test_the_clocks_go_on_where_something_could_not_be_loaded() -> None:
    with pytest.raises(ImportError):
        library("a library that nobody has")
    began = wall()
    time.sleep(0.1)
    assert wall() - began == pytest.approx(0.1, abs=0.05)


def test_the_clocks_go_on_when_the_last_has_loaded(paused: threading.Event) -> None:
    began = wall()
    with once():
        pass
    time.sleep(0.05)
    assert wall() == began
