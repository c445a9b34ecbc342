"""Estimates of a policy that did not act: by hand, in simulated worlds whose truth is known, and beside obp."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from bench.offpolicy import cases
from motet.errors import DataError
from motet.metrics import intervals
from motet.metrics.intervals import Estimate
from motet.metrics.offpolicy import EFFECTIVE, Log, Value, dr, ips, snips

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class World:
    """Contexts that each come as often, policies and click rates per context and action: [contexts, actions]."""

    logging: Array
    evaluated: Array
    rates: Array

    @staticmethod
    def drawn(seed: int, rate: float = 0.3, actions: int = 6, skew: float = 0.5) -> World:
        rng = np.random.default_rng(seed)
        acting, other = (np.exp(skew * rng.normal(size=(5, actions))) for _ in range(2))
        shares = [policy / policy.sum(axis=1, keepdims=True) for policy in (acting, other)]
        return World(shares[0], shares[1], rng.uniform(0.2 * rate, 1.8 * rate, (5, actions)))

    @property
    def truth(self) -> float:
        return float((self.evaluated * self.rates).sum(axis=1).mean())

    def log(self, n: int, seed: int) -> tuple[Log, Array, Array]:
        """A log, and what a reward model that is wrong by a third says: of what was done, and in the mean."""
        rng = np.random.default_rng(seed)
        context = rng.integers(0, len(self.rates), n)
        done = (rng.random((n, 1)) > self.logging[context].cumsum(axis=1)).sum(axis=1)
        clicks = (rng.random(n) < self.rates[context, done]).astype(float)
        model = self.rates * 2 / 3 + 0.01
        mean = (self.evaluated * model).sum(axis=1)[context]
        return (
            Log(clicks, self.logging[context, done], self.evaluated[context, done]),
            model[context, done],
            mean,
        )


def estimates(log: Log, predicted: Array, expected: Array) -> dict[str, Estimate]:
    return {"ips": ips(log).estimate, "snips": snips(log).estimate, "dr": dr(log, predicted, expected).estimate}


def value(found: Value) -> float:
    assert found.estimate.value is not None
    return found.estimate.value


def width(found: Value) -> float:
    assert found.estimate.low is not None
    assert found.estimate.high is not None
    return found.estimate.high - found.estimate.low


def holds(found: Estimate, truth: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return found.low <= truth <= found.high


def test_the_estimates_by_hand() -> None:
    rewards, propensities = np.tile([1, 0, 1, 0], 100), np.tile([0.5, 0.5, 0.25, 0.75], 100)
    shares = np.tile([0.25, 0.5, 0.5, 0.375], 100)  # weights 0.5, 1, 2, 0.5: mean 1
    log = Log(rewards, propensities, shares)
    assert log.effective == pytest.approx(400 * 4**2 / (4 * 5.5))
    assert value(ips(log)) == pytest.approx(2.5 / 4)
    assert value(snips(log)) == pytest.approx(2.5 / 4)
    assert value(dr(log, np.full(400, 0.5), np.full(400, 0.4))) == pytest.approx(0.4 + (0.25 - 0.5 + 1 - 0.25) / 4)
    assert ips(log).estimate.n == 400
    assert str(snips(log)) == f"{snips(log).estimate} worth 291"


@pytest.mark.parametrize("seed", range(3))
def test_ips_and_dr_are_unbiased_and_snips_nearly(seed: int) -> None:
    world = World.drawn(seed)
    found = [estimates(*world.log(2_000, draw)) for draw in range(400)]
    values = {name: np.array([one[name].value for one in found], float) for name in found[0]}
    for name, bias in (("ips", 0.0), ("dr", 0.0), ("snips", 0.002)):
        assert abs(values[name].mean() - world.truth) < 4 * values[name].std() / np.sqrt(400) + bias
    assert values["dr"].std() < values["snips"].std() < values["ips"].std()


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_what_each_estimate_must_obey(seed: int) -> None:
    try:
        log, predicted, expected = World.drawn(seed % 7).log(1_000, seed)
        assert log.propensities is not None
        lighter = Log(log.rewards, log.propensities, 0.99 * log.shares)
    except DataError:
        assume(False)  # of sound logs with heavy weights one in 25 is refused: bench/LOG.md
        raise
    zero = np.zeros(1_000)
    assert dr(log, zero, zero) == ips(log)
    same = Log(log.rewards, log.propensities, log.propensities.copy())
    for of_itself in (ips(same), snips(same), dr(same, predicted, predicted)):
        assert value(of_itself) == pytest.approx(log.rewards.mean())
        assert of_itself.effective == pytest.approx(1_000)
    assert str(snips(lighter).estimate) == str(snips(log).estimate), "SNIPS knows weights up to a factor"
    order = np.random.default_rng(seed).permutation(1_000)
    mixed = Log(log.rewards[order], log.propensities[order], log.shares[order])
    assert value(dr(mixed, predicted[order], expected[order])) == pytest.approx(value(dr(log, predicted, expected)))


@given(st.integers(0, 10_000), st.floats(-5, 5), st.floats(0.1, 9))
@settings(max_examples=30)
def test_shifted_and_scaled_rewards_shift_and_scale_snips_with_its_interval(seed: int, by: float, times: float) -> None:
    try:
        log, _, _ = World.drawn(seed % 7).log(1_000, seed)
    except DataError:
        assume(False)
        raise
    moved = Log(by + times * log.rewards, log.propensities, log.shares, span=(by, by + times + 1e-9))
    one, other = snips(log).estimate, snips(moved).estimate
    assert (other.value, other.low, other.high) == pytest.approx(
        [by + times * (x or 0) for x in (one.value, one.low, one.high)]
    )
    assert ips(log).estimate.value is not None
    assert log.rewards.min() <= value(snips(log)) <= log.rewards.max()


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_intervals_hold_the_estimate_and_leave_the_span_for_nothing_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    try:
        log, predicted, expected = World.drawn(seed % 7, rate=float(rng.choice([0.002, 0.1, 0.5]))).log(1_000, seed)
        ips(log)
    except DataError:  # one log in some thousands happens to look as if its propensities were wrong
        reject()
    for found in estimates(log, predicted, expected).values():
        assert found.value is not None
        assert min(found.value, 0) <= (found.low or 0) <= found.value <= (found.high or 0) <= max(found.value, 1)


def coverage(world: World, n: int, logs: int) -> dict[str, float]:
    found = [estimates(*world.log(n, draw)) for draw in range(logs)]
    return {name: float(np.mean([holds(one[name], world.truth) for one in found])) for name in found[0]}


@pytest.mark.parametrize(("rate", "skew"), [(0.3, 0.5), (0.3, 1.0), (0.01, 0.5), (0.004, 1.0), (0.5, 1.0)])
def test_intervals_hold_the_truth_as_often_as_they_say(rate: float, skew: float) -> None:
    for name, share in coverage(World.drawn(1, rate, skew=skew), 4_000, 400).items():
        assert share >= 0.93, name


@pytest.mark.parametrize("missed", [0.1, 0.01, 0.001, 0.0])
def test_where_nearly_every_row_is_rewarded_intervals_hold_the_truth_and_say_something(missed: float) -> None:
    drawn = World.drawn(1, 0.3, skew=0.7)
    world = World(drawn.logging, drawn.evaluated, 1 - missed * drawn.rates / 0.3)
    for name, share in coverage(world, 4_000, 100).items():
        assert share >= 0.93, name
    log, predicted, expected = world.log(4_000, 5)
    for found in (ips(log), snips(log), dr(log, predicted, expected)):
        assert width(found) < 0.12
        assert holds(found.estimate, value(found))


def test_a_bootstrap_of_few_clicks_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 200)
    world = World.drawn(1, 0.004, skew=1.0)
    logs = [world.log(4_000, draw)[0] for draw in range(200)]
    held = [holds(intervals.mean(log.weights * log.rewards), world.truth) for log in logs]
    assert np.mean(held) < 0.85


def test_viewers_that_differ_are_told_apart() -> None:
    """Half of the viewers always click: 100 viewers say as little in 2,000 rows as in 100."""
    viewers = np.arange(2_000) % 100
    half = np.full(2_000, 0.5)
    held: dict[bool, int] = {True: 0, False: 0}
    for draw in range(300):
        clicks = (np.random.default_rng(draw).random(100) < 0.5)[viewers].astype(float)
        held[True] += holds(ips(Log(clicks, half, half, viewers)).estimate, 0.5)
        held[False] += holds(ips(Log(clicks, half, half)).estimate, 0.5)
    assert held[True] / 300 >= 0.92
    assert held[False] / 300 < 0.6, "groups would not matter"


def test_no_click_is_no_certainty() -> None:
    half = np.full(300, 0.5)
    found = snips(Log(np.zeros(300), half, half)).estimate
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(1.96**2 / (300 + 1.96**2), rel=0.02)
    assert ips(Log(np.zeros(300), half, half, np.zeros(300))).estimate == Estimate(0.0, None, None, 300)


def test_a_better_reward_model_makes_dr_surer() -> None:
    world = World.drawn(2, rate=0.5)
    log, predicted, expected = world.log(3_000, 0)
    rough, good = dr(log, np.full(3_000, 0.4), np.full(3_000, 0.4)), dr(log, predicted, expected)
    assert width(good) < width(rough)


# obp 0.4.1 on the Open Bandit logs: python bench/offpolicy.py --data "$MOTET_DATA"
OBP = {
    "all: random from bts": (0.0023596395168460037, 0.002333713893161806, 0.0023926453031976936),
    "all: bts from random": (0.005035366932711512, 0.0052530721964214695, 0.005165786387055975),
    "men: random from bts": (0.003008626327256482, 0.0031894231622774027, 0.0032976283672340513),
    "men: bts from random": (0.005656266700835461, 0.005739864701951365, 0.005670744161933268),
}


def test_estimates_are_obps_on_real_logs(data_dir: Path) -> None:
    seen = {case.name: [one.value for one in case.estimates().values()] for case in cases(data_dir)}
    assert seen.keys() == OBP.keys()
    for name, values in OBP.items():
        assert seen[name] == pytest.approx(values, rel=0, abs=1e-9)


def log_of(**changed: Any) -> Log:
    half = np.full(200, 0.5)
    given: dict[str, Any] = {"rewards": np.zeros(200), "propensities": half, "shares": half, **changed}
    return Log(**given)


def at(row: int, value: float, rest: float = 0.5) -> Array:
    values = np.full(200, rest)
    values[row] = value
    return values


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"propensities": None}, "does not say how likely"),
        ({"propensities": at(7, 0)}, "propensity of 1 of 200 rows cannot be, the first in row 7: 0.0"),
        ({"propensities": at(3, np.nan)}, "first in row 3: nan"),
        ({"propensities": at(3, 1.01)}, "first in row 3: 1.01"),
        ({"shares": at(3, -0.1)}, "share of 1 of 200 rows cannot be, the first in row 3: -0.1"),
        ({"shares": at(3, np.nan)}, "first in row 3: nan"),
        ({"rewards": at(3, 2.0)}, r"reward of 1 of 200 rows cannot be, the first in row 3: 2.0\nhelp: span="),
        ({"rewards": at(3, np.nan)}, "first in row 3: nan"),
        ({"span": (1.0, 1.0)}, "no reward is between 1.0 and 1.0"),
        ({"shares": np.full(199, 0.5)}, "200 rewards have 199 shares"),
        ({"groups": np.arange(3)}, "200 rewards have 3 groups"),
        ({"shares": np.zeros(200)}, "in none of 200 rows was done what the evaluated policy would do"),
        ({"shares": at(0, 0.5, rest=0.001)}, "200 rows are worth 2.0 for this policy"),
        ({"shares": np.full(200, 0.25)}, "the mean weight is 0.500, not 1"),
    ],
)
def test_a_log_that_cannot_say_it_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        log_of(**changed)


def test_no_rows_and_too_few_rows_are_refused() -> None:
    none, few = np.zeros(0), np.full(EFFECTIVE - 1, 0.5)
    with pytest.raises(DataError, match="the log has no rows"):
        Log(none, none, none)
    with pytest.raises(DataError, match=r"99 rows are worth 99\.0"):
        Log(few, few, few)


@pytest.mark.parametrize("missing", [0.3, 0.6])
def test_a_policy_that_does_what_the_log_never_did_is_refused(missing: float) -> None:
    """The log's policy never takes one action, to which the evaluated one gives a share that is missing then."""
    rng = np.random.default_rng(0)
    done = rng.integers(0, 4, 2_000)
    shares = (1 - missing) * np.array([0.4, 0.3, 0.2, 0.1])[done]
    with pytest.raises(DataError, match=f"the mean weight is 0\\.{round(10 * (1 - missing)) - 1}|{1 - missing:.1f}"):
        Log(np.zeros(2_000), np.full(2_000, 0.25), shares)
    Log(np.zeros(2_000), np.full(2_000, 0.25), shares / (1 - missing))


def test_sound_logs_are_seldom_refused() -> None:
    refused = 0
    for draw in range(500):
        try:
            World.drawn(draw % 20, skew=0.7).log(2_000, draw)
        except DataError:
            refused += 1
    assert refused <= 3


def test_weights_that_viewers_share_may_be_further_from_one() -> None:
    """20 rows of each of 100 viewers, by chance 40 whom the policy would have shown it and not 50."""
    shares, viewers = np.repeat(np.arange(100) < 40, 20).astype(float), np.repeat(np.arange(100), 20)
    Log(np.zeros(2_000), np.full(2_000, 0.5), shares, viewers)
    with pytest.raises(DataError, match=r"the mean weight is 0\.800, not 1, with a standard error of 0\.022"):
        Log(np.zeros(2_000), np.full(2_000, 0.5), shares)


def test_propensities_may_be_rounded() -> None:
    Log(np.zeros(200), np.full(200, 0.0294), np.full(200, 1 / 34))


@pytest.mark.parametrize("wrong", ["predicted", "expected"])
def test_a_reward_model_that_says_nothing_of_a_row_is_refused(wrong: str) -> None:
    given = {"predicted": np.zeros(200), "expected": np.zeros(200)}
    with pytest.raises(DataError, match=f"{wrong} reward of 1 of 200 rows cannot be, the first in row 5: nan"):
        dr(log_of(), **{**given, wrong: at(5, np.nan)})
    with pytest.raises(DataError, match=f"200 rows have 1 {wrong} rewards"):
        dr(log_of(), **{**given, wrong: np.zeros(1)})
