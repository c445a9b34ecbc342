"""What would another policy have earned? Estimates beside obp's, and how often their intervals hold the truth.

    python bench/offpolicy.py --data DIR [--json] [--obp PYTHON] [--splits 250]

Open Bandit, the small version: two campaigns, of 80 and 34 garments, each shown for a week by two policies, at random
and by Bernoulli Thompson sampling, to 10,000 requests each, with true propensities and 38 to 69 clicks. Each policy is
estimated from the other one's log, and its own log says what it really earned. What Thompson sampling would have done
is taken from what it did: its shares of garments by position.

1. The same numbers go into obp 0.4.1 (InverseProbabilityWeighting, SelfNormalizedInverseProbabilityWeighting and
   DoublyRobust, by position), in an environment of its own that is made and thrown away, or in --obp PYTHON.
2. Bootstrap splits: the log is drawn again with replacement, and the truth is the mean of the policy's own log. Both
   are noisy (the truth to a third of itself), and all splits are of one log, so this is no proof of 95 %.
3. Known worlds: click rates by garment and position as in the log, Thompson sampling as 50 policies around its shares,
   and logs of 10,000 requests drawn from them; the truth is known. Beside it the percentile bootstrap of the same IPS.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from motet.errors import DataError
from motet.metrics import intervals
from motet.metrics.intervals import Estimate
from motet.metrics.offpolicy import Log, dr, ips, snips

Array = NDArray[Any]
CAMPAIGNS = {"all": 80, "men": 34}
POSITIONS = 3
PRIOR = 100  # requests at the mean click rate that a reward model begins with
MOVES = 1.2  # standard deviation of the logarithm of Thompson sampling's shares between its updates, in known worlds
NEEDS = ("obp==0.4.1", "torch==2.13.*")  # any torch does; this one has a CPU build on more indexes


@dataclass(frozen=True, eq=False)
class Case:
    """One policy's log, seen from the other policy. Tables are [positions, garments]."""

    name: str
    clicks: Array
    propensities: Array
    positions: Array
    garments: Array
    policy: Array
    own: Array  # clicks in the evaluated policy's own log

    def log(self, rows: Array | slice = slice(None)) -> Log:
        shares = self.policy[self.positions[rows], self.garments[rows]]
        return Log(self.clicks[rows], self.propensities[rows], shares)

    def estimates(self, rows: Array | None = None) -> dict[str, Estimate]:
        """IPS, SNIPS and DR of the rows, with a reward model that has learnt from the other half of them."""
        rows = np.arange(len(self.clicks)) if rows is None else rows
        log, predicted = self.log(rows), self.predicted(rows)
        at, half = self.positions[rows], rows % 2
        expected = (predicted * self.policy).sum(axis=2)[half, at]
        done = predicted[half, at, self.garments[rows]]
        return {"ips": ips(log).estimate, "snips": snips(log).estimate, "dr": dr(log, done, expected).estimate}

    def predicted(self, rows: Array) -> Array:
        """Click rates for each half of the rows (even, odd), as the other half knows them: [2, positions, garments]."""
        return np.stack([rates(self, rows[rows % 2 != half]) for half in (0, 1)])


def rates(case: Case, rows: Array) -> Array:
    cell = np.ravel_multi_index((case.positions[rows], case.garments[rows]), case.policy.shape)
    shown = np.bincount(cell, minlength=case.policy.size).reshape(case.policy.shape)
    clicked = np.bincount(cell, case.clicks[rows], case.policy.size).reshape(case.policy.shape)
    return (clicked + PRIOR * case.clicks[rows].mean()) / (shown + PRIOR)


def cases(data: Path) -> Iterator[Case]:
    """Both policies of both campaigns, each from the log of the other."""
    for campaign, garments in CAMPAIGNS.items():
        both = pl.read_parquet(data / "open-bandit" / f"{campaign}_log.parquet")
        logs = {str(name): log for (name,), log in both.group_by("behavior_policy", maintain_order=True)}
        policies = {"random": np.full((POSITIONS, garments), 1 / garments), "bts": observed(logs["bts"], garments)}
        for logged, evaluated in (("bts", "random"), ("random", "bts")):
            log = logs[logged]
            yield Case(
                f"{campaign}: {evaluated} from {logged}",
                log["click"].to_numpy().astype(np.float64),
                log["propensity_score"].to_numpy(),
                log["position"].to_numpy().astype(np.int64) - 1,
                log["item_id"].to_numpy().astype(np.int64),
                policies[evaluated],
                logs[evaluated]["click"].to_numpy().astype(np.float64),
            )


def observed(log: pl.DataFrame, garments: int) -> Array:
    """How often each garment was shown at each position."""
    counts = np.zeros((POSITIONS, garments))
    np.add.at(counts, (log["position"].to_numpy() - 1, log["item_id"].to_numpy()), 1)
    return counts / counts.sum(axis=1, keepdims=True)


THEIRS = """
import sys
import numpy as np
from obp.ope import DoublyRobust, InverseProbabilityWeighting, SelfNormalizedInverseProbabilityWeighting

given = np.load(sys.argv[1])
n, shape = len(given["clicks"]), given["policy"].T.shape
rows = {"reward": given["clicks"], "action": given["garments"], "position": given["positions"]}
rows |= {"pscore": given["propensities"], "action_dist": np.broadcast_to(given["policy"].T, (n, *shape)).copy()}
model = given["predicted"].transpose(0, 2, 1)[np.arange(n) % 2]
print(repr(float(InverseProbabilityWeighting().estimate_policy_value(**rows))))
print(repr(float(SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**rows))))
print(repr(float(DoublyRobust().estimate_policy_value(**rows, estimated_rewards_by_reg_model=model))))
"""


def obp(case: Case, python: Path) -> dict[str, float]:
    """The same three estimates by obp."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "case.npz"
        columns = {name: getattr(case, name) for name in ("clicks", "propensities", "positions", "garments", "policy")}
        np.savez(file, **columns, predicted=case.predicted(np.arange(len(case.clicks))))
        told = subprocess.run([python, "-W", "ignore", "-c", THEIRS, file], capture_output=True, text=True)
    if told.returncode:
        help = f"PYTHON -m pip install {' '.join(map(repr, NEEDS))}"
        raise SystemExit(f"obp does not run in {python}:\n{told.stderr[-500:]}\nhelp: {help}, then --obp PYTHON")
    return dict(zip(("ips", "snips", "dr"), map(float, told.stdout.split()), strict=True))


def environment(folder: str) -> Path:
    """A Python with obp, in a folder that is thrown away: obp wants torch and other versions than ours."""
    print(
        f"installing {', '.join(NEEDS)} into an environment of its own (minutes; --obp PYTHON has it already)",
        flush=True,
    )
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = Path(folder) / "bin" / "python"
    made = subprocess.run([python, "-m", "pip", "install", "-q", *NEEDS], capture_output=True, text=True)
    if made.returncode:
        raise SystemExit(f"obp cannot be installed here:\n{made.stderr[-500:]}\nhelp: --obp PYTHON, one that has it")
    return python


def compared(all_cases: list[Case], python: Path) -> float:
    """The largest difference between ours and obp's, each shown."""
    largest = 0.0
    for case in all_cases:
        own, theirs = intervals.mean(case.own), obp(case, python)
        print(f"{case.name}, worth {case.log().effective:,.0f}; really {own}")
        for name, ours in case.estimates().items():
            assert ours.value is not None
            largest = max(largest, abs(ours.value - theirs[name]))
            print(
                f"  {name:5} {ours} obp {theirs[name]!r}, differs by {abs(ours.value - theirs[name]):.1e}", flush=True
            )
    return largest


def holds(found: Estimate, truth: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def share_held(drawn: Callable[[int], dict[str, Estimate]], truth: float, splits: int) -> dict[str, float]:
    """Of logs that are not refused, the share whose interval holds the truth; and the share that is refused."""
    held: list[dict[str, bool]] = []
    for split in range(splits):
        try:
            held.append({name: holds(one, truth) for name, one in drawn(split).items()})
        except DataError:
            continue
    return {name: float(np.mean([one[name] for one in held])) for name in held[0]} | {"refused": 1 - len(held) / splits}


def of_splits(case: Case, splits: int) -> dict[str, float]:
    n = len(case.clicks)
    return share_held(
        lambda split: case.estimates(np.random.default_rng(split).integers(0, n, n)), float(case.own.mean()), splits
    )


def of_known_worlds(case: Case, acting: Array, splits: int) -> dict[str, float]:
    """Logs drawn from click rates that are known, beside the percentile bootstrap of the same IPS."""
    n, known = len(case.clicks), rates(case, np.arange(len(case.clicks)))
    moved = acting * np.exp(MOVES * np.random.default_rng(0).normal(size=(50, *acting.shape)) * (acting.std() > 0))
    moved /= moved.sum(axis=2, keepdims=True)

    def drawn(split: int) -> dict[str, Estimate]:
        rng = np.random.default_rng(split)
        update, at = rng.integers(0, len(moved), n), rng.integers(0, POSITIONS, n)
        below = moved.cumsum(axis=2)[update, at] < rng.random((n, 1))
        shown = np.minimum(below.sum(axis=1), acting.shape[1] - 1)
        clicks = (rng.random(n) < known[at, shown]).astype(np.float64)
        log = Case(case.name, clicks, moved[update, at, shown], at, shown, case.policy, case.own)
        weighted = log.log().weights * clicks
        return {**log.estimates(), "percentile": intervals.mean(weighted)}

    return share_held(drawn, float((case.policy * known).sum(axis=1).mean()), splits)


def told(name: str, shares: dict[str, float]) -> dict[str, float]:
    print(f"  {name:22} " + ", ".join(f"{one} {share:.3f}" for one, share in shares.items()), flush=True)
    return shares


def mean_of(rows: list[dict[str, float]], *names: str) -> float:
    return float(np.mean([row[name] for row in rows for name in names]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds open-bandit")
    parser.add_argument("--json", action="store_true", help="say the figures as one JSON object at the end")
    parser.add_argument("--obp", type=Path, help="a Python that has obp 0.4.1")
    parser.add_argument("--splits", type=int, default=250, help="bootstrap splits, and known worlds, of each case")
    given, started = parser.parse_args(), time.perf_counter()
    found = list(cases(given.data))
    with tempfile.TemporaryDirectory() as folder:
        largest = compared(found, given.obp or environment(folder))
    kinds = ("ips", "snips", "dr")
    print(f"{given.splits} bootstrap splits each: how often the 95 % interval holds what the policy really earned")
    splits = [told(case.name, of_splits(case, given.splits)) for case in found]
    print(f"{given.splits} known worlds each: how often it holds the truth")
    acting = [found[1].policy, found[0].policy, found[3].policy, found[2].policy]
    known = [told(case.name, of_known_worlds(case, of, given.splits)) for case, of in zip(found, acting, strict=True)]
    figures = {
        "max_difference": largest,
        "coverage": mean_of(splits, *kinds),
        "splits": given.splits * len(found),
        "coverage_known": mean_of(known, *kinds),
        "coverage_known_percentile": mean_of(known, "percentile"),
        "refused": mean_of(splits + known, "refused"),
    }
    print(f"{time.perf_counter() - started:.0f} s")
    print(json.dumps(figures) if given.json else "\n".join(f"{name}: {figure}" for name, figure in figures.items()))


if __name__ == "__main__":
    main()
