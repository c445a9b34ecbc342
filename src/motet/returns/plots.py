"""Pictures of results."""

from __future__ import annotations

import importlib
from itertools import cycle
from pathlib import Path
from typing import Any

from motet.errors import DataError, RunError
from motet.metrics.intervals import Estimate
from motet.returns import Return, Returns, Slice
from motet.returns.bills import PER
from motet.returns.escalation import Escalation

KINDS = (".png", ".svg", ".pdf")
MARKERS = "osD^vP*X"
BARS = "bars: 95 % intervals of\nthe paired difference\nto all models"


def frontier(found: Returns, file: Path | str) -> Path:
    """Metric over cost: the whole graph, and the graph without each of its optional models; slices apart.

    A bar is the 95 % interval of the paired difference to the whole graph: where it does not reach the dashed line, the
    model surely matters. The thin line joins what nothing else beats at its cost. What has no figure is left out, and
    the title says so. Errors: another kind of file, matplotlib is not installed.
    """
    file = picture(file)
    per = _shown_for(max(abs(cost) for _, cost in _costs(found)))
    panels = ["all", *dict.fromkeys(part.name for row in found.rows for part in row.slices)]
    size = 2.4 + 3.6 * len(panels), 3.6
    figure, row = _library().subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
    for name, axes in zip(panels, row[0], strict=True):
        _panel(axes, found, name, per / PER)
        axes.set_xlabel(f"cost of {per:,} requests")
    row[0][0].set_ylabel(f"{found.rows[0].output}: {found.rows[0].metric}")
    said = {"title": BARS, "title_fontsize": "small", "alignment": "left", "frameon": False}
    figure.legend(*row[0][0].get_legend_handles_labels(), loc="outside right upper", **said)
    figure.savefig(file, dpi=110)
    _library().close(figure)
    return file


def escalation(found: Escalation, file: Path | str) -> Path:
    """The share that is right over the share that the strong model is asked about, with 95 % intervals, against
    either model alone and escalation at random. Errors: as of `frontier`."""
    file = picture(file)
    figure, axes = _library().subplots(figsize=(8, 5), layout="constrained")
    asked = [point.asked for point in found.points]
    low, high = ([_end(point.quality, end) for point in found.points] for end in ("low", "high"))
    axes.fill_between(asked, low, high, alpha=0.2, linewidth=0)
    axes.plot(asked, [point.quality.value for point in found.points], marker="o", markersize=3, label=found.name)
    axes.plot([0, 1], [found.cheap.value, found.strong.value], color="0.6", linestyle="--", label="at random")
    for name, share, right in ((found.cheap_name, 0.0, found.cheap), (found.strong_name, 1.0, found.strong)):
        axes.errorbar(share, right.value, yerr=_errors(right), fmt="s", capsize=3, label=f"{name} alone")
    axes.set_xlabel(f"share of requests that {found.strong_name} is asked about")
    axes.set_ylabel("share answered right")
    axes.set_title(f"{found.n:,} requests replayed, 95 % intervals", fontsize="medium")
    axes.legend(frameon=False)
    figure.savefig(file, dpi=150)
    _library().close(figure)
    return file


def _end(figure: Estimate, end: str) -> float | None:
    """Where nothing says how sure it is, the figure itself."""
    bound = getattr(figure, end)
    return figure.value if bound is None else bound


def picture(file: Any) -> Path:
    """Where something may be drawn. Errors: another kind of file, no folder to lie in, or what cannot be written."""
    if not isinstance(file, (str, Path)):
        raise DataError(f"{file!r} is no file to draw in", help="returns.png")
    file = Path(file)
    if file.suffix not in KINDS:
        raise DataError(f"{file.name!r} is no picture", help=f"one of {', '.join(KINDS)}: returns.png")
    if not file.absolute().parent.is_dir():
        raise DataError(f"there is no folder {file.parent} to draw {file.name} in", help="mkdir it first")
    there = file.exists()
    try:
        file.open("ab").close()
    except OSError as error:
        raise DataError(f"nothing can be drawn in {file}: {error.strerror}", help="another file: returns.png") from None
    if not there:
        file.unlink()
    return file


def _panel(axes: Any, found: Returns, name: str, times: float) -> None:
    """One slice. times: costs are shown for so many times as many requests as they are given for."""
    measured = [_of(row, name) for row in found.rows]
    whole, n = measured[0].ours.value, measured[0].ours.n
    values = [whole, *(one.theirs.value for one in measured)]
    bars = [None, *(_apart(one.difference) for one in measured)]
    if whole is not None:
        axes.axhline(whole, color="0.6", linestyle="--", linewidth=1, zorder=0)
    points: list[tuple[float, float]] = []
    for (label, cost), marker, value, bar in zip(_costs(found), cycle(MARKERS), values, bars, strict=False):
        if value is None:
            axes.errorbar([], [], fmt=marker, capsize=3, label=label)
            continue
        axes.errorbar(times * cost, value, yerr=bar, fmt=marker, capsize=3, label=label)
        points.append((times * cost, value))
    if points:
        axes.plot(*zip(*_unbeaten(points), strict=True), color="0.6", zorder=0, linewidth=1)
    missing = len(values) - len(points)
    left = f", {missing} of {len(values)} not measured" if missing else ""
    axes.set_title(f"{name}, n={n:,}{left}", fontsize="medium")
    axes.locator_params(axis="x", nbins=4)
    axes.margins(x=0.12)


def _of(row: Return, name: str) -> Return | Slice:
    return next((part for part in row.slices if part.name == name), row)


def _costs(found: Returns) -> list[tuple[str, float]]:
    """What each graph is called and costs."""
    total = found.bill.total
    return [("all models", total), *((f"without {row.strong}", total - row.cost.total) for row in found.rows)]


def _shown_for(cost: float) -> int:
    """The requests that a cost is shown for, so that it has few zeros. cost: of 1,000."""
    return next((per for per in (PER, PER**2) if cost * per / PER >= 0.001), PER**3)


def _apart(gap: Estimate) -> list[list[float]] | None:
    """How far below and above its point a graph without the model may lie, for a difference of with less without."""
    bars = _errors(gap)
    return None if bars is None else bars[::-1]


def _errors(figure: Estimate) -> list[list[float]] | None:
    """How far below and above its point a figure may lie."""
    if figure.value is None or figure.low is None or figure.high is None:
        return None
    return [[figure.value - figure.low], [figure.high - figure.value]]


def _unbeaten(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that cost less than all that are as good, the cheapest first."""
    best: list[tuple[float, float]] = []
    for cost, metric in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or metric > best[-1][1]:
            best.append((cost, metric))
    return best


def _library() -> Any:
    try:
        importlib.import_module("matplotlib").use("Agg")
    except ImportError:
        raise RunError("matplotlib draws pictures, and is not installed", help="pip install 'motet[plot]'") from None
    return importlib.import_module("matplotlib.pyplot")
