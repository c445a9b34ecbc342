"""The two-tower model and HSTU: what each must do beside what all models of histories share with SASRec."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
functional = torch.nn.functional

from motet.batch import Array, Batch, Ragged  # noqa: E402
from motet.column import Key, Time  # noqa: E402
from motet.errors import GraphError  # noqa: E402
from motet.model import State  # noqa: E402
from motet.models.behavior import sequence_towers as towers  # noqa: E402
from motet.models.behavior.hstu import HSTU  # noqa: E402
from motet.models.behavior.hstu_net import SPANS, spans  # noqa: E402
from motet.models.behavior.hstu_net import Users as TimedUsers  # noqa: E402
from motet.models.behavior.sequence import ItemTower, UserTower  # noqa: E402
from motet.models.behavior.sequence_train import onnx_of  # noqa: E402
from motet.models.behavior.steps import Noise  # noqa: E402
from motet.models.behavior.two_tower import TwoTower  # noqa: E402
from motet.models.behavior.two_tower_net import in_batch  # noqa: E402
from motet.past import past  # noqa: E402
from motet.record import Entity, Event, outcome  # noqa: E402
from motet.windows import Windows  # noqa: E402
from tests.models.planted import FILMS, best_are_of, histories, names, same, stored, two_camps  # noqa: E402

TINY: dict[str, Any] = {"dim": 8, "length": 8, "batch": 16, "rate": 1e-2, "patience": 8, "epochs": 8, "bound": 1.0}
MODELS = [TwoTower(**TINY), HSTU(**TINY, blocks=1)]
FILMS_NOW = names("film", FILMS)
HOUR = 3_600_000_000


class Film(Entity):
    film_id: Key


class Viewer(Entity):
    viewer_id: Key


class Visit(Event):
    viewer: Viewer
    at: Time
    film: Film = outcome()


def timed(history: Ragged, now: int = 100) -> Ragged:
    """The same history, an item an hour, asked in a given hour."""
    times = np.arange(len(history.windows.values), dtype=np.int64) * HOUR
    asked = np.full(len(history), now * HOUR)
    return replace(history, times=Windows(times, history.windows.starts, history.windows.ends), now=asked)


def learnt(model: Any, seed: int = 0, **told: Any) -> State:
    batch, target = two_camps()
    columns = {**batch.columns, **told, "history": timed(batch["history"], now=800)}
    return stored(model.fit(replace(batch, columns=columns, seed=seed), target))


def scores(model: Any, state: State, *rows: list[int], films: Any = FILMS_NOW, now: int = 100, **told: Any) -> Array:
    vectors = ItemTower().apply(state, Batch({"items": films.names, **told}, rows=len(films)))
    asked = {"history": timed(histories(*rows, films=films), now), "items": vectors}
    tower = UserTower(model.length, isinstance(model, HSTU))
    return tower.apply(state, Batch(asked, rows=len(rows))) @ vectors.T


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_it_finds_who_likes_what(model: Any) -> None:
    found = scores(model, learnt(model), [0, 2, 4], [1, 3, 5])
    assert best_are_of(0, found[0], seen=[0, 2, 4])
    assert best_are_of(1, found[1], seen=[1, 3, 5])


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_film_that_was_never_seen_is_scored_from_its_content(model: Any) -> None:
    more = names("film", FILMS + 2)
    content = (np.eye(2, 4, dtype=np.float32)[np.arange(FILMS + 2) % 2] + 0.05).astype(np.float32)
    state = learnt(model, content=content[:FILMS])
    found = scores(model, state, [0, 2, 4], [1, 3, 5], films=more, content=content)
    assert found[0, FILMS] > found[0, FILMS + 1]
    assert found[1, FILMS] < found[1, FILMS + 1]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_no_history_and_films_that_came_later_have_scores_too(model: Any) -> None:
    more = names("film", FILMS + 2)
    found = scores(model, learnt(replace(model, epochs=1)), [], [FILMS + 1], [FILMS + 7], films=more)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[:, FILMS], found[:, FILMS + 1])
    np.testing.assert_allclose(found[1], found[2], atol=1e-5)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_the_seed_decides_everything(model: Any) -> None:
    quick = replace(model, epochs=1)
    assert same(learnt(quick), learnt(quick))
    assert not same(learnt(quick), learnt(quick, seed=1))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_call_makes_a_number_per_request_and_film(model: Any) -> None:
    assert model(past(Visit.film, by=Visit.viewer, last=50), Film).grain == {Visit, Film}
    with pytest.raises(GraphError, match="history of Viewer"):
        model(past(Visit.film, by=Visit.viewer), Viewer)


def test_what_cannot_mean_anything_is_refused() -> None:
    for wrong in (lambda: TwoTower(dim=0), lambda: TwoTower(dropout=1.0), lambda: HSTU(dim=10, heads=4)):
        with pytest.raises(GraphError, match="help:"):
            wrong()


def test_two_towers_do_not_read_the_order_and_hstu_reads_when() -> None:
    both = [[0, 2, 5], [5, 0, 2]]
    two_tower, hstu = (replace(model, epochs=1) for model in MODELS)
    state = learnt(two_tower)
    found = scores(two_tower, state, *both)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    np.testing.assert_array_equal(found, scores(two_tower, state, *both, now=9_000))
    state = learnt(hstu)
    found = scores(hstu, state, *both)
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert np.abs(found - scores(hstu, state, *both, now=9_000)).max() > 1e-3


def test_the_loss_of_a_batch_is_the_corrected_softmax_over_its_items() -> None:
    torch.manual_seed(0)
    users, items = torch.randn(6, 4), torch.randn(5, 4)
    targets, likely = torch.tensor([0, 1, 1, 3, 0, 0]), torch.log(torch.tensor([0.5, 0.2, 0.1, 0.1, 0.1]))
    losses: list[Any] = []
    for user, own in zip(users, targets, strict=True):
        # Every row of the batch is a column, but for the others that hold this row's own item.
        others = [int(t) for t in targets if t != own]
        columns = torch.tensor([int(own), *others])
        logits = items[columns] @ user - likely[columns]
        losses.append(functional.cross_entropy(logits[None], torch.tensor([0])))
    torch.testing.assert_close(in_batch(users, items, targets, likely), torch.stack(losses).mean())


def test_padding_changes_nothing_and_what_is_served_is_the_tower_that_was_trained() -> None:
    torch.manual_seed(1)
    users = TimedUsers(HSTU(dim=8, length=6)).eval()
    vectors = torch.randn(9, 8)
    values, starts, ends = np.array([1, 4, 2, 7, 7]), np.array([0, 3, 5]), np.array([3, 5, 5])
    times, now = np.array([10, 500, 90_000, 7, 8]), np.array([100_000, 9, 77])
    tower = towers.session({"users": onnx_of(users, 8, timed=True)})
    served = towers.users(tower, values, starts, ends, vectors.numpy(), times, now)
    for i, (a, b) in enumerate(zip(starts, ends, strict=True)):
        moments = torch.tensor([*times[a:b], now[i]])[None]
        with torch.no_grad():
            alone = users(vectors[torch.tensor(values[a:b])][None].view(1, b - a, 8), Noise(0, 0), moments)[0, -1]
        np.testing.assert_allclose(served[i], alone.numpy(), atol=1e-5)


def test_how_long_ago_has_few_kinds_in_order() -> None:
    seconds = torch.tensor([-5, 0, 1, 2, 60, 3_600, 86_400, 10**9])
    found = spans(seconds).tolist()
    assert found[:3] == [0, 0, 0]
    assert found == sorted(found)
    assert found[-1] == SPANS - 1
