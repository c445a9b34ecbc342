"""When is a dearer model worth asking? Quality over the share of requests that are escalated to it.

    python bench/escalate.py --data DIR [--json] [--asked 300] [--picture FILE]

Banking77 (77 intents of a bank's customers) and SST-2 (moods of film reviews): words and a linear head answer, and
escalate to words and MiniLM's vectors with a linear head, about the whole test part; and to SmolLM2-135M that is shown
8 similar texts, about the first texts of it. The router learns on events that no model was fitted on; its curve is
taken on the test part, all of which both models are asked about. A processor core costs 4 cents an hour.

`strong_share`, `cost_saved`: at as many right answers as the strong model gives alone, with the interval of a bootstrap
over the texts. `ece`: expected calibration error (15 bins of equal mass) of the probability that the cheap model is
right; beside it `ece_of_perfect`, which probabilities without any error would show on so few texts.
`worst_margin_over_random`: what the escalation gains over as many random ones, at the budget where that is least, of
5 %, 10 %, ... 100 %. Those of the first pair stand at the top, all in `pairs`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np

import motet as mt
from motet.metrics.binary import calibration_error
from motet.returns import plots
from motet.returns.escalation import Escalation

PRICES = mt.Prices(cpu_hour=0.04)
DRAWS = 200


def measured(
    title: str, ways: dict[str, mt.Graph], strong: str, train: mt.Data, test: mt.Data, learnt: int, folder: Path
) -> Escalation:
    cheap, dear = (cast(mt.Category, ways[name].outputs["label"]) for name in ("words", strong))
    names = {cheap.fingerprint: "words", dear.fingerprint: strong}
    graph = mt.Graph.called(names, label=cheap.escalate(dear, budget=0.2, requests=learnt))
    found = graph.fit(train, store=folder, quiet=True).escalation(test, PRICES)
    print(f"{title}\n{found}\n", flush=True)
    return found


def of_perfect(accuracy: float, n: int) -> float:
    """The calibration error that shows on n texts where every probability is right, on average over draws."""
    draw = np.random.default_rng(0)
    chances = draw.beta(6 * accuracy, 6 * (1 - accuracy), (DRAWS, n))
    errors = [calibration_error(chance, draw.random(n) < chance) or 0.0 for chance in chances]
    return float(np.mean(errors))


def row(title: str, strong: str, found: Escalation) -> dict[str, Any]:
    return {
        "data": title,
        "strong": strong,
        "n": found.n,
        "strong_share": asdict(found.equal_share),
        "cost_saved": asdict(found.cost_saved),
        "ece": asdict(found.calibration_error),
        "ece_of_perfect": of_perfect(found.cheap.value or 0.5, found.n),
        "worst_margin_over_random": asdict(found.worst),
        "area_over_random": asdict(found.area),
        "cheap_accuracy": found.cheap.value,
        "strong_accuracy": found.strong.value,
        "usd_per_1000": [found.cheap_cost, found.strong_cost],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--asked", type=int, default=300, help="texts that the language model is asked about")
    parser.add_argument("--picture", type=Path, help="where the first pair's curve is drawn")
    parser.add_argument("--store", type=Path, help="where states are kept and found again")
    given = parser.parse_args()
    os.environ["MOTET_DATA"] = str(given.data)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the examples are no part of the package
    from examples.intents.graph import TESTED_FROM, data, reviews, ways_of_intents, ways_of_moods
    from examples.intents.report import first

    sets = {"banking77": (ways_of_intents, data()), "sst2": (ways_of_moods, reviews())}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for strong, asked in (("words and meaning", 1_000_000), ("smollm2, 8 shots", given.asked)):
            for title, (ways, everything) in sets.items():
                train, test = everything.split(at=TESTED_FROM)
                learnt = 2_000 if strong == "words and meaning" else given.asked
                kept = (given.store or Path(folder)) / title
                found = measured(title, ways, strong, train, first(test, asked), learnt, kept)
                if given.picture and not rows:
                    plots.escalation(found, given.picture)
                rows.append(row(title, strong, found))
    main_figures = {
        name: rows[0][name]["value"] for name in ("strong_share", "cost_saved", "ece", "worst_margin_over_random")
    }
    if given.json:
        print(json.dumps(main_figures | {"pairs": rows}))


if __name__ == "__main__":
    main()
