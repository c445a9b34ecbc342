"""Which language model is worth most for intents of a bank's customers and for the mood of film reviews.

    python bench/choose.py --data DIR [--json] [--asked 300]

Banking77 and SST-2, all alternatives on the same first texts of the test part: words and a linear head, MiniLM and a
linear head, both, SmolLM2-135M asked without and with examples. A right label is worth 1 cent, a wrong one costs 5; a
processor core costs 4 cents an hour. The net decides, and fits are spread over a million requests.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import motet as mt

WORTH = mt.Worth(correct=0.01, wrong=-0.05)
PRICES = mt.Prices(cpu_hour=0.04)
REQUESTS = 1_000_000


def measured(title: str, ways: dict[str, mt.Graph], everything: mt.Data, asked: int, folder: Path) -> dict[str, Any]:
    from examples.intents.graph import TESTED_FROM
    from examples.intents.report import first

    train, test = everything.split(at=TESTED_FROM)
    labels = {name: graph.outputs["label"] for name, graph in ways.items()}
    names = {column.fingerprint: name for name, column in labels.items()}
    graph = mt.Graph.called(names, label=mt.choose(*labels.values()))
    found = graph.choose(train, first(test, asked), WORTH, PRICES, requests=REQUESTS, store=folder, quiet=True)
    print(f"{title}\n{found}\n", flush=True)
    rows = [
        {
            "model": row.name,
            "accuracy": row.quality.value,
            "low": row.quality.low,
            "high": row.quality.high,
            "ms": row.milliseconds,
            "usd_per_1000": row.bill.total,
            "net": row.net.value if row.net else None,
        }
        for row in found.rows
    ]
    return {"rows": rows, "chosen": found.chosen, "n": found.n}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--asked", type=int, default=300, help="texts of each test part")
    given = parser.parse_args()
    os.environ["MOTET_DATA"] = str(given.data)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the examples are no part of the package
    from examples.intents.graph import data, reviews, ways_of_intents, ways_of_moods

    with tempfile.TemporaryDirectory() as folder:
        found = {
            "banking77": measured("banking77", ways_of_intents, data(), given.asked, Path(folder)),
            "sst2": measured("sst2", ways_of_moods, reviews(), given.asked, Path(folder)),
        }
    if given.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
