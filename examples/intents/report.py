"""Fits every way to a label and says how often it is right and what it takes: `python -m examples.intents.report`.

Each is also held against the first, the cheapest, over the same texts.

asked: how many texts the language model is asked about; the other ways answer the whole test part.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import motet as mt
from examples.intents.graph import TESTED_FROM, data, reviews, ways_of_intents, ways_of_moods

TIMED = 50  # asks, one after the other, whose median is the time a query takes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--asked", type=int, default=200)
    parser.add_argument("--only", choices=("intents", "moods"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.only != "moods":
            report("banking77, 77 intents", ways_of_intents, data(), given.asked, Path(folder))
        if given.only != "intents":
            report("sst2, 2 moods", ways_of_moods, reviews(), given.asked, Path(folder))


def report(title: str, ways: dict[str, mt.Graph], all_of_it: mt.Data, asked: int, folder: Path) -> None:
    train, test = all_of_it.split(at=TESTED_FROM)
    print(title)
    cheapest: mt.Fitted | None = None
    for turn, (name, graph) in enumerate(ways.items()):
        few = first(test, asked) if "smollm2" in name else test
        started = time.perf_counter()
        fitted = graph.fit(train, store=folder / name, quiet=True)
        seconds = time.perf_counter() - started
        found = fitted.evaluate(few)
        accuracy = found.figure("label", "accuracy")
        print(
            f"  {name:20} accuracy {accuracy}  {pace(fitted, test, turn):.1f} ms a query  fitted in {seconds:.1f} s",
            flush=True,
        )
        cheapest = cheapest or fitted
        if cheapest is not fitted:
            (gap,) = (each for each in found.against(cheapest.evaluate(few)) if each.output == "label")
            print(f"  {'':20} against the first {gap.estimate}", flush=True)
        for why, n in found.problems.items():
            print(f"    {n} x {why}")


def first(test: mt.Data, n: int) -> mt.Data:
    """The part of the test part that asks its first n."""
    event = next(iter(test.asked))
    times = test.times(event)[test.asked[event]]
    return test.split(at=int(times[n]))[0] if n < len(times) else test


def pace(fitted: mt.Fitted, test: mt.Data, turn: int) -> float:
    """Milliseconds that an ask takes, the median of some, one after the other.

    turn: each has texts of its own, from the end of the test part: an embedder remembers what it was asked lately.
    """
    event = next(iter(test.asked))
    rows = test.asked[event][::-1][turn * (TIMED + 1) :][: TIMED + 1]
    texts: Any = test.tables[event].columns["text"]
    asks = [{"at": TESTED_FROM, "text": text} for text in texts.take(rows).to_pylist()]
    fitted.ask(**asks[0])
    took: list[float] = []
    for ask in asks[1:]:
        started = time.perf_counter()
        fitted.ask(**ask)
        took.append(time.perf_counter() - started)
    return 1000 * statistics.median(took)


if __name__ == "__main__":
    main()
