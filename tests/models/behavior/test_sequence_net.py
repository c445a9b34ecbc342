"""What SASRec's hand-written numerics must equal, and what the whole of it must learn."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
functional = torch.nn.functional

from motet.errors import DataError  # noqa: E402
from motet.models.behavior import sequence_net as net  # noqa: E402
from motet.models.behavior import sequence_towers as towers  # noqa: E402
from motet.models.behavior.sequence_batches import Histories  # noqa: E402
from motet.models.behavior.sequence_config import Config  # noqa: E402
from motet.models.behavior.sequence_train import Last, fit, onnx_of  # noqa: E402
from motet.models.behavior.sequence_trainer import Net, Trainer  # noqa: E402
from motet.models.behavior.steps import Noise  # noqa: E402

SMALL = Config(dim=16, blocks=1, length=8, batch=32, epochs=25, rate=1e-2, patience=25)


def together(histories: list[list[int]]) -> tuple[Any, Any]:
    sizes = [len(h) for h in histories]
    return np.concatenate(histories).astype(np.int32), np.concatenate([[0], np.cumsum(sizes)])


def rings(n: int, items: int, seed: int = 0) -> list[list[int]]:
    """Histories in which item i is always followed by item i + 1, round and round."""
    rng = np.random.default_rng(seed)
    return [((rng.integers(items) + np.arange(rng.integers(3, 9))) % items).tolist() for _ in range(n)]


def rows_of(state: Any, items: Any) -> Any:
    place = np.searchsorted(state["codes"], items)
    safe = np.minimum(place, len(state["codes"]) - 1)
    return np.where(state["codes"][safe] == items, safe, -1)


def scored(state: Any, histories: list[list[int]], vectors: Any) -> Any:
    values, offsets = together(histories)
    return towers.users(towers.session(state), values, offsets[:-1], offsets[1:], vectors) @ vectors.T


@pytest.mark.parametrize("size", [0.1, 3.0, 60.0], ids=["small logits", "large", "beyond float32's exp"])
@pytest.mark.parametrize(("t", "n"), [(1, 2), (300, 7), (700, 5_000)])
def test_the_loss_over_the_catalogue_is_cross_entropy(t: int, n: int, size: float) -> None:
    torch.manual_seed(t)
    users, items = torch.randn(t, 8) * size, torch.randn(n, 8) * size
    targets = torch.randint(0, n, (t,))
    mine = [x.clone().requires_grad_() for x in (users, items)]
    theirs = [x.clone().double().requires_grad_() for x in (users, items)]
    ours = net.CatalogueLoss.apply(*mine, targets)
    right = functional.cross_entropy(theirs[0] @ theirs[1].T, targets)
    (ours * 3).backward()
    (right * 3).backward()
    assert ours.item() == pytest.approx(right.item(), rel=1e-5, abs=1e-5)
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=2e-4, atol=2e-6 * max(size, 1))


@pytest.mark.parametrize("length", [1, 2, 13])
def test_attention_in_place_is_the_library_s(length: int) -> None:
    torch.manual_seed(length)
    qkv, weight = torch.randn(5, length, 3, 2, 4), torch.randn(5, length, 8)
    mine, theirs = (qkv.clone().requires_grad_() for _ in range(2))
    q, k, v = theirs.permute(2, 0, 3, 1, 4).unbind(0)
    right = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(5, length, 8)
    ours = net.attend(mine, training=True)
    torch.testing.assert_close(ours, right)
    torch.testing.assert_close(net.attend(qkv, training=False), right)
    (ours * weight).sum().backward()
    (right * weight).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad)


def test_dropout_keeps_the_mean_and_its_share() -> None:
    dropped = Noise(0.2, seed=1).drop(torch.ones(1_000, 100))
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)
    assert float((dropped == 0).float().mean()) == pytest.approx(0.2, abs=0.01)
    assert torch.equal(Noise(0, seed=1).drop(torch.ones(3, 2)), torch.ones(3, 2))


def test_long_histories_are_cut_without_losing_or_doubling_an_item() -> None:
    values = np.arange(60, dtype=np.int32)
    pieces = Histories(values, np.array([0, 7, 40]), np.array([7, 40, 60])).cut(10, np.random.default_rng(3))
    held = [values[a:b].tolist() for a, b in zip(pieces.starts, pieces.ends, strict=True)]
    assert np.concatenate(held).tolist() == values.tolist()
    assert max(map(len, held)) <= 10
    assert {0, 7, 40} <= set(pieces.starts.tolist())


def test_a_planted_order_is_learnt() -> None:
    state = fit(*together(rings(200, 12)), 12, config=SMALL)
    vectors = towers.items(state, None, rows_of(state, np.arange(12)))
    assert scored(state, [[3], [10, 11], [5, 6, 7]], vectors).argmax(axis=1).tolist() == [4, 0, 8]


def test_items_never_seen_are_ranked_by_their_content() -> None:
    """Items come in two kinds that do not mix; the last item of each kind is never in a history."""
    rng = np.random.default_rng(0)
    kind = np.arange(40) % 2
    content = np.eye(2, 6, dtype=np.float32)[kind] + 0.1 * rng.standard_normal((40, 6)).astype(np.float32)
    seen = np.arange(38)
    camps = [seen[seen % 2 == k] for k in (0, 1)]
    histories = [rng.choice(camp, 6, replace=False).tolist() for camp in camps for _ in range(150)]
    state = fit(*together(histories), 40, content, config=SMALL)
    assert set(rows_of(state, np.array([38, 39]))) == {-1}
    vectors = towers.items(state, content, rows_of(state, np.arange(40)))
    scores = scored(state, [[0, 2, 4], [1, 3, 5]], vectors)
    assert scores[0, 38] > scores[0, 39]
    assert scores[1, 39] > scores[1, 38]
    assert scores[0, 38] > np.median(scores[0])


def test_a_residual_is_bounded_where_there_is_content_and_zero_at_first() -> None:
    content = torch.tensor([[0.2, 0, 0, 0], [0, 0.2, 0, 0], [0, 0, 0, 0]])
    tower = net.Items(content, bound=0.5)
    assert torch.equal(tower()[:2], content[:2])
    assert bool(tower.own[2].any())
    with torch.no_grad():
        tower.own[:] = torch.tensor([[3.0, 0, 4, 0], [0.1, 0, 0, 0], [9, 0, 0, 0]])
    norms = tower.residuals().norm(dim=1)
    torch.testing.assert_close(norms, torch.tensor([0.5, 0.1, 9.0]))
    tower.residuals().sum().backward()
    assert tower.own.grad is not None
    assert bool(tower.own.grad.isfinite().all())


def test_content_is_read_along_the_directions_in_which_it_differs() -> None:
    """One number tells the items apart; it is hidden among many that are the same for all."""
    rng = np.random.default_rng(0)
    kind = np.repeat([-1.0, 1.0], 20)
    content = (3 + np.outer(kind, rng.standard_normal(50)) + 0.1 * rng.standard_normal((40, 50))).astype(np.float32)
    content[7] = 0
    read = towers.Reading.of(content, 8)
    vectors = read(content)
    assert not vectors[7].any()
    np.testing.assert_allclose(np.linalg.norm(np.delete(vectors, 7, 0), axis=1), towers.LENGTH, rtol=1e-5)
    assert len(set(np.sign(vectors[:7, 0]))) == 1
    assert set(np.sign(vectors[20:, 0])) == {-np.sign(vectors[0, 0])}
    np.testing.assert_allclose(read(5 * content), vectors, atol=1e-6)


def test_narrow_content_leaves_the_other_directions_empty() -> None:
    content = np.eye(3, dtype=np.float32)[np.arange(9) % 3]
    vectors = towers.Reading.of(content, 8)(content)
    assert vectors.shape == (9, 8)
    assert not vectors[:, 3:].any()
    assert not towers.Reading.of(np.zeros((4, 3), np.float32), 8)(content[:0]).any()


def test_items_without_content_or_training_rank_below_the_known() -> None:
    state = fit(*together(rings(200, 12)), 14, config=SMALL)
    vectors = towers.items(state, None, rows_of(state, np.arange(14)))
    assert np.array_equal(vectors[12], state["unknown"])
    order = np.argsort(-scored(state, [[3]], vectors)[0]).tolist()
    assert order.index(12) > order.index(4)
    assert np.isfinite(vectors).all()


def test_onnx_equals_torch_for_every_length_and_none() -> None:
    torch.manual_seed(0)
    config = Config(dim=16, length=8)
    made = Net(config, torch.zeros(20, 16)).eval()
    with torch.no_grad():
        for value in made.parameters():
            value.add_(torch.randn_like(value) * 0.3)
    vectors = made.items().detach()
    histories = [[], [4], [1, 2, 3], list(range(8)), [19] * 5]
    values, offsets = together(histories)
    tower = towers.session({"users": onnx_of(made.users, 16)})
    served = towers.users(tower, values, offsets[:-1], offsets[1:], vectors.numpy())
    for history, row in zip(histories, served, strict=True):
        right = Last(made.users)(vectors[history][None], torch.tensor([len(history)]))
        np.testing.assert_allclose(row, right[0].detach().numpy(), atol=1e-5)
    for i, row in enumerate(served):
        one = values, offsets[i : i + 1], offsets[i + 1 : i + 2]
        np.testing.assert_allclose(towers.users(tower, *one, vectors.numpy())[0], row, atol=1e-5)


def test_equal_seeds_give_equal_states() -> None:
    histories, config = together(rings(40, 12)), Config(dim=16, length=8, epochs=3)
    one, two, other = (fit(*histories, 12, config=config, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(one["residuals"], other["residuals"])


def test_a_fit_leaves_torch_s_own_randomness_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit(*together(rings(10, 5)), 5, config=Config(dim=8, length=8, epochs=1))
    assert torch.equal(before, torch.get_rng_state())


def test_progress_is_told_and_losses_fall() -> None:
    told: list[tuple[int, int, float, float]] = []
    fit(*together(rings(100, 12)), 12, config=SMALL, progress=lambda *said: told.append(said))
    assert [epoch for epoch, *_ in told] == list(range(1, len(told) + 1))
    assert told[-1][2] < told[0][2] / 2
    assert all(rate > 0 for *_, rate in told)
    assert all(a[1] == b[1] == SMALL.epochs for a, b in pairwise(told))


@pytest.mark.parametrize(
    ("values", "offsets", "says"),
    [
        ([4, 4], [0, 2], "2 events of 1 item, the longest history of 2"),
        ([4, 2, 4], [0, 1, 2, 3], "3 events of 2 items, the longest history of 1"),
        ([4], [0, 1], "1 event of 1 item, the longest history of 1"),
    ],
)
def test_too_little_to_learn_from_is_one_sentence(values: list[int], offsets: list[int], says: str) -> None:
    with pytest.raises(DataError, match=f"two items or more, and there are {says}\nhelp: give more events"):
        fit(np.array(values, np.int32), np.array(offsets), 9)


def test_threads_share_a_step_without_changing_it() -> None:
    values, offsets = together(rings(30, 12))
    whole, config = Histories(values, offsets[:-1], offsets[1:]), Config(dim=16, length=8, dropout=0)
    before, gradients = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        trainer = Trainer(whole, Net(config, torch.zeros(12, 16)), config, seed=0)
        trainer.step(whole, int(whole.sizes.sum()))
        gradients.append([p.grad for p in trainer.net.parameters()])
    torch.set_num_threads(before)
    for one, three in zip(*gradients, strict=True):
        torch.testing.assert_close(one, three, atol=1e-6, rtol=1e-4)
