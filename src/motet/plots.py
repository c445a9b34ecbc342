"""Pictures of results."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from motet.bills import PER
from motet.errors import DataError, RunError
from motet.escalation import Escalation
from motet.metrics.intervals import Estimate
from motet.returns import Returns

KINDS = (".png", ".svg", ".pdf")


def frontier(found: Returns, file: Path | str) -> Path:
    """Metric over cost: the whole graph, and the graph without each of its optional models, with 95 % intervals.

    The line joins what nothing else beats at its cost. Errors: another kind of file, matplotlib is not installed.
    """
    file = _picture(file)
    points = [("all models", found.bill.total, found.rows[0].ours)]
    points += [(f"without {row.strong}", found.bill.total - row.cost.total, row.theirs) for row in found.rows]
    figure, axes = _library().subplots(figsize=(8, 5), layout="constrained")
    for name, cost, metric in points:
        axes.errorbar(cost, metric.value, yerr=_errors(metric), fmt="o", capsize=3, label=name)
    best = _unbeaten([(cost, metric.value or 0.0) for _, cost, metric in points])
    axes.plot(*zip(*best, strict=True), color="0.6", zorder=0, linewidth=1)
    axes.set_xlabel(f"cost of {PER:,} requests")
    axes.set_ylabel(f"{found.rows[0].output}: {found.rows[0].metric}")
    axes.set_title(f"{found.n:,} requests replayed, 95 % intervals", fontsize="medium")
    axes.legend(frameon=False)
    figure.savefig(file, dpi=150)
    _library().close(figure)
    return file


def escalation(found: Escalation, file: Path | str) -> Path:
    """The share that is right over the share that the strong model is asked about, with 95 % intervals, against
    either model alone and escalation at random. Errors: as of `frontier`."""
    file = _picture(file)
    figure, axes = _library().subplots(figsize=(8, 5), layout="constrained")
    asked = [point.asked for point in found.points]
    low, high = ([getattr(point.quality, end) for point in found.points] for end in ("low", "high"))
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


def _picture(file: Path | str) -> Path:
    """Errors: another kind of file."""
    file = Path(file)
    if file.suffix not in KINDS:
        raise DataError(f"{file.name!r} is no picture", help=f"one of {', '.join(KINDS)}: returns.png")
    return file


def _errors(metric: Estimate) -> list[list[float]] | None:
    if metric.value is None or metric.low is None or metric.high is None:
        return None
    return [[metric.value - metric.low], [metric.high - metric.value]]


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
