"""The picture of returns: what it shows is what was found, and can be read."""

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motet.errors import DataError
from motet.metrics.intervals import Estimate
from motet.returns import Return, Returns, Slice, plots
from motet.returns.bills import Bill


def row(name: str, theirs: float, cost: float, *slices: str) -> Return:
    ours, without = Estimate(0.5, 0.4, 0.6, 100), Estimate(theirs, theirs - 0.1, theirs + 0.1, 100)
    gap = Estimate(0.5 - theirs, 0.5 - theirs - 0.02, 0.5 - theirs + 0.05, 100)
    parts = tuple(Slice(part, ours, without, gap, None) for part in slices)
    return Return(name, name, "nothing", "top", "NDCG@10", ours, without, gap, Bill(cost, 0.0), None, parts)


def drawn(found: Returns, file: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    library: Any = importlib.import_module("matplotlib.pyplot")
    close = library.close
    with monkeypatch.context() as patched:
        patched.setattr(library, "close", lambda figure: None)
        plots.frontier(found, file)
    figure = library.gcf()
    close(figure)
    return figure


def test_a_graph_without_a_model_stands_at_its_cost_with_the_paired_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Returns((row("dear", 0.45, 0.06), row("cheap", 0.3, 0.01)), Bill(0.07, 0.01), 100, 100)
    (axes,) = drawn(found, tmp_path / "returns.png", monkeypatch).axes
    whole, dear, cheap = axes.containers
    assert [bar.get_label() for bar in axes.containers] == ["all models", "without dear", "without cheap"]
    for bar, cost, value in ((whole, 0.08, 0.5), (dear, 0.02, 0.45), (cheap, 0.07, 0.3)):
        assert np.allclose(bar.lines[0].get_xydata(), [[cost, value]])
    (low, high) = dear.lines[2][0].get_segments()[0][:, 1]
    assert (low, high) == (pytest.approx(0.5 - 0.1), pytest.approx(0.5 - 0.03)), "the whole graph's less the difference"
    assert not whole.lines[2], "it differs from itself by nothing"
    best = axes.lines[-1].get_xydata() if len(axes.lines[-1].get_xydata()) > 1 else None
    assert best is not None
    assert np.allclose(best, [[0.02, 0.45], [0.08, 0.5]])


def test_a_file_that_cannot_be_drawn_in_is_refused_and_nothing_is_left_of_the_try(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for wrong in (tmp_path / "folder.png", Path("/proc/returns.png")):
        with pytest.raises(DataError, match="nothing can be drawn in"):
            plots.picture(wrong)
    for wrong in (5, None):
        with pytest.raises(DataError, match=f"{wrong} is no file to draw in"):
            plots.picture(wrong)
    drawn_before = tmp_path / "before.png"
    drawn_before.write_bytes(b"a picture")
    assert plots.picture(str(drawn_before)).read_bytes() == b"a picture"
    assert not plots.picture(tmp_path / "after.png").exists()


def test_small_costs_are_shown_for_more_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Returns((row("dear", 0.45, 6e-6),), Bill(8e-6, 0.0), 100, 100)
    (axes,) = drawn(found, tmp_path / "returns.png", monkeypatch).axes
    assert axes.get_xlabel() == "cost of 1,000,000 requests"
    assert np.allclose(axes.containers[0].lines[0].get_xydata()[0, 0], 0.008)


def test_slices_have_panels_of_their_own_and_nothing_lies_over_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tuple(row(f"a model with a long name {i}", 0.4, 0.01 * i, "warm", "cold") for i in range(5))
    figure = drawn(Returns(rows, Bill(1.0, 0.0), 100, 100), tmp_path / "returns.png", monkeypatch)
    assert [axes.get_title() for axes in figure.axes] == ["all, n=100", "warm, n=100", "cold, n=100"]
    (legend,) = figure.legends
    figure.canvas.draw()
    boxes = [axes.get_tightbbox() for axes in figure.axes] + [legend.get_window_extent()]
    for i, box in enumerate(boxes):
        assert not box.count_overlaps(boxes[i + 1 :])
    assert len(legend.get_texts()) == 6
    assert (tmp_path / "returns.png").stat().st_size < 100_000


def test_what_was_not_measured_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Estimate(None, None, None, 100)
    dear = row("dear", 0.45, 0.06)
    found = Returns(
        (replace(dear, theirs=nothing, difference=nothing), row("cheap", 0.3, 0.01)), Bill(0.07, 0.01), 1, 1
    )
    (axes,) = drawn(found, tmp_path / "returns.png", monkeypatch).axes
    assert axes.get_title() == "all, n=100, 1 of 3 not measured"
    assert [y for bar in axes.containers for y in bar.lines[0].get_ydata()] == [0.5, 0.3]
    found = Returns((replace(dear, ours=nothing, theirs=nothing, difference=nothing),), Bill(0.07, 0.01), 1, 1)
    (axes,) = drawn(found, tmp_path / "returns.png", monkeypatch).axes
    assert axes.get_title() == "all, n=100, 2 of 2 not measured"
