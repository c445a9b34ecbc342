"""How much a machine or a cluster does, computed from what one core was measured to do: the table of docs/scale.md.

It measures nothing itself. Unit costs are read from the last outputs of bench/serve.py and bench/cluster.py; a number
of cores is taken to do so many times what one core did there, which holds for processes that share nothing but memory.
The table is written into docs/scale.md as well: run it after either of them.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "scale.md"
BEGIN, END = "<!-- capacity -->\n", "\n<!-- /capacity -->"
CORES = 2  # of the machine that both were measured on
SIZES = (2, 8, 32, 128)
HOUR = 3600


@dataclass(frozen=True)
class Units:
    """What a core does a second. texts: embedded by a worker of Ray. requests: answered by our own server, and behind
    Ray Serve.

    first_mb, worker_mb: resident memory of a server, and of each process more. ray_mb: of one replica with all that Ray
    starts beside it.
    """

    texts: float
    requests: float
    requests_ray: float
    first_mb: float
    worker_mb: float
    ray_mb: float


def units(folder: Path = HERE) -> Units:
    serve, cluster = _last(folder / "serve.out"), _last(folder / "cluster.out")
    own = serve["rps_32"] / CORES
    return Units(
        cluster["texts_per_core_second"] / cluster["prepare_ratio"],
        own,
        own * min(1.0, cluster["serve_ratio"]),
        serve["rss_mb"],
        serve["another_worker_mb"],
        cluster["memory_mb_ray"],
    )


def table(found: Units) -> str:
    """What so many cores do, as Markdown."""
    rows = [
        ("texts embedded in an hour, on Ray", [f"{found.texts * n * HOUR / 1e6:,.1f} million" for n in SIZES]),
        ("requests a second, `--workers`", [f"{found.requests * n:,.0f}" for n in SIZES]),
        ("requests a second, `--on ray`", [f"{found.requests_ray * n:,.0f}" for n in SIZES]),
        ("memory, `--workers`, one a core", [_gb(found.first_mb + (n - 1) * found.worker_mb) for n in SIZES]),
        ("memory, `--on ray`, nodes of 2 cores", [_gb(found.ray_mb * n / CORES) for n in SIZES]),
    ]
    head = f"| cores | {' | '.join(f'{n}' for n in SIZES)} |"
    lines = [f"| {name} | {' | '.join(values)} |" for name, values in rows]
    return "\n".join([head, "|---" * (len(SIZES) + 1) + "|", *lines])


def written() -> str:
    """The table that docs/scale.md holds."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def _gb(megabytes: float) -> str:
    return f"{megabytes / 1024:.1f} GB"


def _last(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="not read")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    given = parser.parse_args()
    found = units()
    print(table(found))
    PAGE.write_text(PAGE.read_text().replace(written(), table(found)))
    if given.json:
        print(json.dumps({name: round(value, 2) for name, value in vars(found).items()}))


if __name__ == "__main__":
    main()
