"""Verdicts on models whose net is known: by hand, by what they must obey, and in simulated replays."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.coverage import WORLDS, World, measured
from motet.errors import DataError
from motet.metrics.intervals import Estimate
from motet.metrics.verdicts import Verdict, net, shared, verdict

Array = np.ndarray[Any, Any]


def replay(seed: int, viewers: int = 60, effect: float = 0.2) -> tuple[Array, Array]:
    """Gains of viewers that come 1 to 6 times and differ."""
    rng = np.random.default_rng(seed)
    viewer = np.repeat(np.arange(viewers), rng.integers(1, 7, viewers))
    return effect + rng.normal(size=viewers)[viewer] + rng.normal(size=len(viewer)), viewer


def ends(found: Estimate) -> tuple[float, float, float]:
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    return found.value, found.low, found.high


def width(found: Estimate) -> float:
    return ends(found)[2] - ends(found)[1]


def holds(found: Estimate, truth: float) -> bool:
    return ends(found)[1] <= truth <= ends(found)[2]


def test_of_requests_that_are_alike_it_is_the_t_interval() -> None:
    gain = np.random.default_rng(0).uniform(-1, 2, 40)
    theirs = stats.ttest_1samp(gain - 0.3, 0).confidence_interval(0.95)
    assert ends(net(gain, 0.3)) == pytest.approx((gain.mean() - 0.3, theirs.low, theirs.high))


def test_by_hand_a_viewer_left_out_at_a_time() -> None:
    gain, viewer = np.array([3.0, 1, 0, 0, 2]), np.array([7, 7, 8, 8, 9])
    without = np.array([2 / 3, 2.0, 1.0])  # the mean without each viewer
    error = np.sqrt(2 / 3 * ((without - 1.2) ** 2).sum())
    squares, sizes = (without - 1.2) ** 4, np.array([2, 2, 1])
    spread = max(squares.sum() / ((without - 1.2) ** 2).sum() ** 2 - 1 / 3, 2 / 3) / 2
    rows = 1 / max(25 / (sizes @ sizes) - 1, 1) - 1 / 3
    half = stats.t.ppf(0.975, max(1, 1 / (spread + rows))) * error
    assert ends(net(gain, 0.2, viewer)) == pytest.approx((1.0, 1 - half, 1 + half))


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-3, 3))
@settings(max_examples=40)
def test_what_every_verdict_must_obey(seed: int, currency: float, cost: float) -> None:
    gain, viewer = replay(seed % 50)
    found = verdict(gain, cost, viewer, {"first": viewer < 30})
    other = verdict(currency * gain, currency * cost, viewer, {"first": viewer < 30})
    assert (other.word, other.where) == (found.word, found.where), "money may be counted in cents"
    assert ends(other.net) == pytest.approx(tuple(currency * end for end in ends(found.net)), abs=1e-9)
    assert ends(found.net) == pytest.approx(tuple(end - cost for end in ends(found.gain))), "a known cost shifts it"
    order = np.random.default_rng(seed).permutation(len(gain))
    assert ends(net(gain[order], cost, -viewer[order])) == pytest.approx(ends(found.net))
    assert ends(net(gain, np.full(len(gain), cost), viewer)) == pytest.approx(ends(found.net))
    _, low, high = ends(net(-gain, -cost, viewer))
    assert (-high, -low) == pytest.approx(ends(found.net)[1:])
    assert found.word != "keep" or ends(found.net)[1] > 0
    assert (found.needed is None) == (found.word != "not enough data")
    assert found.needed is None or found.needed > len(gain)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(-1e6, 1e6), st.integers(1, 5))
@settings(max_examples=100)
def test_any_money_has_a_verdict(gain: list[float], cost: float, viewers: int) -> None:
    rows = np.array(gain)
    found = verdict(rows, cost, np.arange(len(rows)) % viewers, {"odd": np.arange(len(rows)) % 2 == 1})
    assert found.net.value == pytest.approx(rows.mean() - cost, rel=1e-6, abs=1e-6)
    if min(viewers, len(rows)) == 1 or len(set(gain)) == 1:
        assert (found.word, found.net.low, found.needed) == ("not enough data", None, None)


def test_a_viewer_who_carries_the_gain_makes_it_less_sure_of_many_viewers() -> None:
    """The same standard error, of 100 viewers and of one among them."""
    one = np.eye(100)[0] * 10
    all_alike = np.tile([-1.0, 1.0], 50) * one.std() + one.mean()
    assert one.std() == pytest.approx(all_alike.std())
    assert width(net(one, 0.0)) > 2 * width(net(all_alike, 0.0))
    assert not net(one, 0.0).sure


def test_the_words() -> None:
    gain, viewer = replay(0, 400, effect=0.3)
    assert verdict(gain, 0.0, viewer).word == "keep"
    assert verdict(gain, 0.8, viewer).word == "drop"
    unsure = verdict(gain, float(gain.mean()) - 0.05, viewer)
    assert unsure.word == "not enough data"
    assert unsure.needed is not None
    assert str(unsure) == (
        f"not enough data: net {unsure.net}, gain {unsure.gain}, {unsure.needed:,} requests would tell"
    )


def test_a_model_that_gains_surely_nothing_is_dropped_also_where_its_cost_is_unsure() -> None:
    gain, viewer = replay(0, 400, effect=-0.3)
    cost = np.zeros(len(gain))
    cost[::100] = np.random.default_rng(0).lognormal(0, 3, len(cost[::100])) * 40
    assert ends(net(gain, -cost.mean(), viewer))[2] > 0
    found = verdict(gain - gain.mean() - 0.4, cost, viewer)
    assert not found.net.sure
    assert found.word == "drop"
    assert verdict(gain - gain.mean() - 0.4, -cost, viewer).word == "not enough data", "it may save more than it loses"


@pytest.mark.parametrize("cost", [0.5, 0.7, 1.0])
def test_it_pays_only_in_some_slices(cost: float) -> None:
    gain, viewer = replay(1, 800, effect=0.0)
    night = np.random.default_rng(0).random(len(gain)) < 0.3
    slices = {"day": ~night, "night": night, "never": np.zeros(len(gain), bool)}
    found = verdict(gain + 2 * night, cost, viewer, slices)
    assert (found.word, found.where) == ("only where it pays", ("night",))
    assert str(found).startswith("only where it pays (night): net ")
    assert verdict(gain + 2 * night, cost, viewer).word == ("not enough data" if cost < 0.7 else "drop")
    assert verdict(gain + 2 * night, 0.1, viewer, slices) == verdict(gain + 2 * night, 0.1, viewer), "it is kept"


def test_the_more_slices_are_looked_at_the_surer_each_must_be() -> None:
    """40 slices of a model without an effect, 200 replays."""
    wrong = {1: 0, 40: 0}
    for seed in range(200):
        gain = np.random.default_rng(seed).normal(size=2_000)
        parts = {str(part): np.arange(2_000) % 40 == part for part in range(40)}
        wrong[40] += verdict(gain, 0.0, None, parts).word in ("keep", "only where it pays")
        wrong[1] += any(verdict(gain, 0.0, None, {name: rows}).where for name, rows in parts.items())
    assert wrong[40] / 200 <= 0.09  # of 5 % at most one in 200 tests is so unlucky
    assert wrong[1] / 200 > 0.4, "looking often would not matter"


def test_a_verdict_on_one_of_some_slices_is_as_sure_as_they_are_together() -> None:
    gain = np.random.default_rng(0).uniform(-1, 2, 40)
    assert [shared(n) for n in (0, 1, 2, 10)] == pytest.approx([0.95, 0.95, 0.975, 0.995])
    for level in (0.95, shared(2)):
        theirs = stats.ttest_1samp(gain - 0.3, 0).confidence_interval(level)
        found = verdict(gain, 0.3, level=level)
        assert ends(found.net) == pytest.approx((gain.mean() - 0.3, theirs.low, theirs.high))
        assert ends(found.gain)[1:] == pytest.approx((theirs.low + 0.3, theirs.high + 0.3))
    one, many = (verdict(gain, 0.45, level=level).needed for level in (0.95, shared(20)))
    assert one is not None
    assert many is not None
    assert many > one


def test_viewers_depend_on_themselves_in_slices_too() -> None:
    """30 viewers who like or dislike the model for good come 20 times; it has no effect in the mean."""
    wrong, viewer = {"viewers": 0, "requests": 0}, np.repeat(np.arange(30), 20)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        gain, half = rng.normal(size=30)[viewer] + rng.normal(size=600), {"half": rng.random(600) < 0.5}
        wrong["viewers"] += verdict(gain - 9 * ~half["half"], 0.0, viewer, half).word == "only where it pays"
        wrong["requests"] += verdict(gain - 9 * ~half["half"], 0.0, None, half).word == "only where it pays"
    assert wrong["viewers"] / 300 <= 0.05  # of 2.5 %
    assert wrong["requests"] / 300 > 0.15, "clusters would not matter"


@pytest.mark.parametrize("world", [WORLDS[1], WORLDS[2], WORLDS[5]], ids=str)
def test_intervals_hold_the_net_of_few_unequal_and_heavy_tailed_viewers(world: World) -> None:
    found = measured(world, 200, 10_000)
    assert found.coverage >= 0.92


def test_viewers_and_not_requests_are_independent() -> None:
    held = {"viewers": 0, "requests": 0}
    for seed in range(300):
        gain, viewer = replay(seed)
        held["viewers"] += holds(net(gain, 0.1, viewer), 0.1)
        held["requests"] += holds(net(gain, 0.1), 0.1)
    assert 0.92 <= held["viewers"] / 300 <= 0.98
    assert held["requests"] / 300 < 0.85, "clusters would not matter"


@pytest.mark.parametrize("world", [WORLDS[0], WORLDS[6]], ids=str)
def test_a_useless_model_is_seldom_kept(world: World) -> None:
    found = measured(world, 300, 0)
    assert world.useless
    assert found.kept <= 0.08  # of 5 % at most one in 100 tests is so unlucky


def test_a_model_that_pays_is_kept_and_one_that_does_not_is_dropped() -> None:
    pays = measured(World(500, 10, 0.1, 0.04, 0.01), 40, 0).words
    not_so = measured(World(500, 10, 0.1, 0.01, 0.04), 40, 0).words
    assert pays["keep"] >= 36
    assert not_so["drop"] >= 36
    where = measured(World(2_000, None, 0.1, 0.06, 0.06, regulars=True), 20, 0).words
    assert where["keep"] == 0


@pytest.mark.parametrize("world", WORLDS[1:8:3], ids=str)
def test_the_worlds_are_as_they_say(world: World) -> None:
    nets = [world.drawn(seed)[0].sum() - world.cost * len(world.drawn(seed)[1]) for seed in range(400)]
    requests = [len(world.drawn(seed)[1]) for seed in range(400)]
    error = np.std(np.array(nets) - world.truth * np.array(requests)) / 20 / np.mean(requests)
    assert abs(np.sum(nets) / np.sum(requests) - world.truth) < 4 * error


@pytest.mark.parametrize("effect", [0.12, -0.1])
def test_what_is_needed_tells_in_four_of_five_cases(effect: float) -> None:
    gain = np.random.default_rng(0).normal(size=200)
    gain += effect - gain.mean()
    needed = verdict(gain, 0.0).needed
    assert needed
    assert needed == pytest.approx(200 * ((1.96 + 0.842) * gain.std() / np.sqrt(200) / effect) ** 2, rel=0.03)
    rng = np.random.default_rng(1)
    words = Counter(verdict(rng.normal(effect, gain.std(), needed), 0.0).word for _ in range(600))
    assert words["keep" if effect > 0 else "drop"] / 600 == pytest.approx(0.8, abs=0.06)


def test_where_nothing_can_be_said_nothing_is_made_up() -> None:
    same = np.full(100, 0.7)
    for found in (verdict(same, 0.1), verdict(same, 0.0), verdict(np.zeros(100), 1.0)):
        assert (found.word, found.net.low, found.net.high, found.needed) == ("not enough data", None, None, None)
    cost = np.random.default_rng(0).random(100)
    assert net(cost + 0.1, cost).low is None, "what floats leave of no spread"
    assert net(np.tile([1.0, -1.0], 50), 0.0, np.repeat(np.arange(50), 2)).low is None, "every viewer is alike"
    lone = verdict(np.arange(9.0), 1.0, np.zeros(9), {"few": np.arange(9) < 2})
    assert lone == Verdict("not enough data", Estimate(3.0, None, None, 9), Estimate(4.0, None, None, 9))
    assert verdict(np.array([1.0, -1.0]), 0.0).needed is None, "no number of requests tells a net of zero"
    assert str(lone) == "not enough data: net 3.0000 n=9, gain 4.0000 n=9"


def test_what_is_no_replay_is_refused() -> None:
    rows = np.arange(4.0)
    with pytest.raises(DataError, match="no request has a known outcome") as told:
        verdict(rows[:0], 1.0)
    assert told.value.help
    with pytest.raises(DataError, match=r"gain is \[2, 2\]"):
        net(rows.reshape(2, 2), 1.0)
    with pytest.raises(DataError, match=r"4 gains have \[3\] costs"):
        net(rows, rows[1:])
    with pytest.raises(DataError, match=r"4 gains have \[5\] groups"):
        net(rows, 1.0, np.zeros(5))
    with pytest.raises(DataError, match="the gain of request 1 is nan"):
        net(np.array([0, np.nan, 1, np.nan]), 1.0)
    with pytest.raises(DataError, match="the cost of request 0 is inf"):
        net(rows, np.inf)
    with pytest.raises(DataError, match=r"slice 'odd' is float64 \[4\] of 4 requests"):
        verdict(rows, 1.0, None, {"odd": rows % 2})  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match=r"slice 'odd' is bool \[3\] of 4 requests"):
        verdict(rows, 1.0, None, {"odd": rows[1:] % 2 == 1})
