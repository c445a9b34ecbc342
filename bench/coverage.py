"""Does the verdict on a model hold? How often the 95 % interval of its net holds the truth, and what is kept in vain.

    python bench/coverage.py --data DIR [--json] [--runs 200]

Worlds whose true net is known by construction; --data is not read. Viewers come once or hundreds of times and hit with
a probability of their own (beta), which both sides share. The model loses some of the hits that there were without it
and makes hits of misses, as many as its lift asks for. Each hit is worth an amount, 1 in the mean: the same for all,
or log-normal and partly the viewer's own, as amounts of card fraud are. So the true net is the lift in the hit rate
less the cost, exactly. Every verdict looks at five slices beside the whole.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.metrics.intervals import Estimate
from motet.metrics.verdicts import Verdict, verdict

Array = NDArray[Any]
MOST = 300  # visits of one viewer
REGULAR = 10  # visits that make a viewer a regular
KEPT = ("keep", "only where it pays")


@dataclass(frozen=True)
class World:
    """What happens, in units of the mean amount of a hit.

    visits: of each viewer; None: s visits with a probability in proportion to s^-1.6, up to MOST. rate: hits of a
    request without the model. lift: by how much the model raises it, for regulars alone where so said. churn: the part
    of the hits that the model loses. tail: standard deviation of the amounts' logarithm.
    """

    viewers: int
    visits: int | None
    rate: float
    lift: float
    cost: float
    churn: float = 0.3
    tail: float = 0.0
    regulars: bool = False

    def __str__(self) -> str:
        visits = "unequal" if self.visits is None else f"{self.visits:7}"
        whose = "regulars" if self.regulars else "all"
        return (
            f"{self.viewers:5,} viewers, {visits} visits, {self.rate:4.0%} hit, {self.lift:+6.1%} for {whose:8}, "
            f"cost {self.cost:.3f}, tail {self.tail:.1f}"
        )

    @property
    def often(self) -> Array:
        """The probability of 0, 1, 2... visits."""
        if self.visits is not None:
            return np.eye(self.visits + 1)[self.visits]
        shares = np.concatenate([[0.0], np.arange(1.0, MOST + 1) ** -1.6])
        return shares / shares.sum()

    @property
    def truth(self) -> float:
        """The net of a request: the lift, where there is one, less the cost."""
        requests = self.often * np.arange(len(self.often))
        return self.lift * (requests[REGULAR:].sum() / requests.sum() if self.regulars else 1.0) - self.cost

    @property
    def useless(self) -> bool:
        """It pays nowhere."""
        return self.lift <= self.cost

    def drawn(self, seed: int) -> tuple[Array, Array, dict[str, Array]]:
        """One replay: gain, viewer and slices, a row a request."""
        rng = np.random.default_rng(seed)
        sizes = rng.choice(len(self.often), self.viewers, p=self.often)
        viewer = np.repeat(np.arange(self.viewers), sizes)
        hits = rng.random(len(viewer)) < rng.beta(4 * self.rate, 4 * (1 - self.rate), self.viewers)[viewer]
        regular = (sizes >= REGULAR)[viewer]
        lifted = self.lift * regular if self.regulars else self.lift
        made = (lifted + self.rate * self.churn) / (1 - self.rate)
        changed = rng.random(len(viewer)) < np.where(hits, self.churn, made)
        own, each = rng.normal(size=self.viewers)[viewer], rng.normal(size=len(viewer))
        amounts = np.exp(self.tail * (0.6 * own + 0.8 * each) - self.tail**2 / 2)
        hour = rng.integers(0, 3, len(viewer))
        slices = {name: hour == at for at, name in enumerate(("morning", "noon", "night"))}
        return amounts * changed * (1.0 - 2 * hits), viewer, slices | {"regulars": regular, "others": ~regular}


WORLDS = (
    World(50, 20, 0.30, 0.00, 0.0),
    World(50, None, 0.30, 0.10, 0.02),
    World(50, 20, 0.10, 0.05, 0.0, tail=1.2),
    World(100, None, 0.10, 0.02, 0.03),
    World(200, 10, 0.05, 0.00, 0.0, tail=1.2),
    World(200, None, 0.10, 0.05, 0.01, tail=1.2),
    World(500, None, 0.03, 0.00, 0.002, tail=1.2),
    World(500, None, 0.05, 0.03, 0.022, regulars=True),
    World(1_000, 5, 0.01, 0.01, 0.015, tail=1.2),
    World(2_000, None, 0.01, 0.003, 0.001, tail=1.2),
)


@dataclass(frozen=True)
class Found:
    """What was seen of one world. held: of the runs that had an interval, which held the truth."""

    world: World
    held: list[bool]
    words: Counter[str]
    width: float

    @property
    def coverage(self) -> float:
        return float(np.mean(self.held))

    @property
    def kept(self) -> float:
        return sum(self.words[word] for word in KEPT) / self.words.total()

    def __str__(self) -> str:
        words = ", ".join(f"{word} {count}" for word, count in self.words.most_common())
        return (
            f"{self.world}\n    net {self.world.truth:+.4f} held by {self.coverage:.3f} of {len(self.held)}, "
            f"median width {self.width:.4f}; {words}"
        )


def holds(found: Estimate, truth: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return found.low <= truth <= found.high


def measured(world: World, runs: int, first: int) -> Found:
    found: list[Verdict] = []
    for seed in range(first, first + runs):
        gain, viewer, slices = world.drawn(seed)
        found.append(verdict(gain, world.cost, viewer, slices))
    known = [one.net for one in found if one.net.low is not None]
    widths = [(one.high or 0.0) - (one.low or 0.0) for one in known]
    held = [holds(one, world.truth) for one in known]
    return Found(world, held, Counter(one.word for one in found), float(np.median(widths)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="not read: these worlds are drawn")
    parser.add_argument("--json", action="store_true", help="say the figures as one JSON object at the end")
    parser.add_argument("--runs", type=int, default=200, help="replays of each world")
    given, started = parser.parse_args(), time.perf_counter()
    found: list[Found] = []
    for number, world in enumerate(WORLDS):
        found.append(measured(world, given.runs, number * given.runs))
        print(found[-1], flush=True)
    held = [one for world in found for one in world.held]
    useless = [world.kept for world in found if world.world.useless]
    figures = {
        "coverage": float(np.mean(held)),
        "coverage_least": min(world.coverage for world in found),
        "useless_kept": float(np.mean(useless)),
        "useless_kept_most": max(useless),
        "useless_worlds": len(useless),
        "without_interval": 1 - len(held) / (given.runs * len(found)),
        "runs": given.runs * len(found),
    }
    print(f"{time.perf_counter() - started:.0f} s")
    print(json.dumps(figures) if given.json else "\n".join(f"{name}: {figure}" for name, figure in figures.items()))


if __name__ == "__main__":
    main()
