"""What a served graph loses when what it stands on is killed or full: nothing that it acknowledged, and no ask.

    python bench/faults.py --data DIR [--json] [--rounds 20] [--only worker endpoint postgres disk]

A small shop (bench/_shop.py) under a steady load of 40 asks and 30 events a second over kept connections, and each of
four faults, so many times: kill -9 of one of two workers; of the language model's endpoint, started again after 1 s; of
all processes of PostgreSQL, which holds the log, started again after 1 s; a disk without room under the log in SQLite,
which has room again once events were refused. After each fault's rounds the log is read past the server, in its file
or table.

acknowledged: events that the server said are kept. lost: those that the log does not hold, and any that it holds twice.
unanswered: asks with no 200 within 2 s, neither at first nor, at once, over a new connection. cut: asks whose first
connection broke, since a process that was killed held it. refused: asks whose first reply was another status.
tries: replies to events that were no acknowledgement; they are sent again. past_wrong: buyers whose past, as the server
answers with it in the end, is not what the log holds. --data is not read.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from _breakable import Program, children, connections, database, small_disk
from _server import Serving, free_port, serving
from _shop import graph, shop
from _steady import DEADLINE, Seen, Steady

GAP = 1.0  # seconds that what was killed stays away
CALM = 1.2  # seconds between one fault and the next, and up to as many more
LIVES = 5.0  # seconds between two workers' deaths, at least
NAME = "served"
HERE = Path(__file__).resolve().parent
FIRST = {"buyer": "b1", "search": "tea 1"}

Stored = list[tuple[str, dict[str, Any]]]
Figures = dict[str, Any]
Strike = Callable[[Serving, Seen], Awaitable[None]]


@dataclass
class Times:
    """When what was killed was away, as time.monotonic() tells it: since, when it was started again, and was there."""

    away: list[tuple[float, float, float]] = field(default_factory=list[tuple[float, float, float]])

    def who(self, seen: Seen) -> Figures:
        """Who answered asks that began and ended while it was away, and asks that began well before or after."""
        all_, away = seen.answered, self.away
        within = [each for each in all_ if any(since < each.began and each.ended < until for since, until, _ in away)]
        beside = [each for each in all_ if not any(since - GAP < each.began < there + GAP for since, _, there in away)]
        return {
            "asks_while_away": len(within),
            "by_otherwise_while_away": sum("otherwise" in each.by.values() for each in within),
            "asks_while_there": len(beside),
            "by_otherwise_while_there": sum("otherwise" in each.by.values() for each in beside),
        }


@dataclass(frozen=True)
class Place:
    """What all faults share: the published graph, a folder, and how many times each happens."""

    target: str
    folder: Path
    rounds: int

    def tried(self, name: str, strike: Strike, stored: Callable[[], Stored], *options: str) -> tuple[Seen, Figures]:
        """One fault, again and again. stored: reads the log."""
        began = time.perf_counter()
        with serving(self.target, self.folder, FIRST, *options) as server:
            load = Steady(server.port, name)
            seen = asyncio.run(load.during(self._struck(server, load.seen, strike)))
            time.sleep(1)
            held = stored()
            wrong = past_wrong(server, held)
            if server.process.poll() is not None:
                raise SystemExit(f"the server is gone:\n{(self.folder / 'serve.log').read_text()[-3000:]}")
        said = (self.folder / "serve.log").read_text()
        if "Traceback" in said:
            print(f"{name}: the server said\n{said[said.index('Traceback') - 300 :][:3000]}")
        return seen, {**figures(seen, held), "past_wrong": wrong, "seconds": round(time.perf_counter() - began, 1)}

    async def _struck(self, server: Serving, seen: Seen, strike: Strike) -> None:
        drawn = random.Random(1)
        for _ in range(self.rounds):
            await asyncio.sleep(CALM * (1 + drawn.random()))
            await strike(server, seen)
        await asyncio.sleep(CALM)


def figures(seen: Seen, held: Stored) -> Figures:
    ids = [id for id, _ in held]
    twice, missing = len(ids) - len(set(ids)), len(seen.acknowledged - set(ids))
    took = [answered.ended - answered.began for answered in seen.answered]
    for why in seen.unanswered[:5]:
        print(f"unanswered after {why}")
    return {
        "acknowledged": len(seen.acknowledged),
        "lost": missing + twice,
        "given_up": seen.given_up,
        "tries": dict(seen.tries),
        "asks": seen.asks,
        "unanswered": len(seen.unanswered),
        "cut": seen.cut,
        "refused": {str(status): n for status, n in seen.refused.items()},
        "p99_ms": round(1e3 * float(np.quantile(took, 0.99)), 1),
        "longest_ms": round(1e3 * max(took), 1),
    }


def past_wrong(server: Serving, held: Stored) -> int:
    """Buyers whose last three purchases the server tells otherwise than the log."""
    bought: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for _, fields in held:
        bought[fields["buyer"]].append((fields["at"], fields["item"]))
    wrong = 0
    for buyer, events in bought.items():
        status, said = server.ask({**FIRST, "buyer": buyer})
        last = [item for _, item in sorted(events, key=lambda event: event[0])[-3:]]
        wrong += status != 200 or (len(last) == 3 and said["answer"]["recent"] != last)
    return wrong


def worker(place: Place) -> Figures:
    """kill -9 of the older of two workers, whenever both have connections and it has lived for some seconds."""
    killed, back = list[float](), list[float]()

    def answering(server: Serving) -> list[int]:
        return [p for p in children(server.process.pid) if connections(p, server.port)]

    async def both(server: Serving) -> list[int]:
        while len(found := answering(server)) < 2:
            await asyncio.sleep(0.05)
        return found

    async def strike(server: Serving, seen: Seen) -> None:
        await asyncio.sleep(max(0.0, killed[-1] + LIVES - time.monotonic()) if killed else 0)
        os.kill(min(await both(server), key=_since), signal.SIGKILL)
        killed.append(time.monotonic())
        await both(server)
        back.append(time.monotonic() - killed[-1])

    file = place.folder / "worker.sqlite"
    _, found = place.tried("worker", strike, partial(_in_sqlite, file), "--workers", "2", "--events", str(file))
    return {**found, "back_after_s": round(float(np.median(back)), 2)}


def endpoint(place: Place, program: Program) -> Figures:
    """kill -9 of what writes the texts."""
    times, file = Times(), place.folder / "endpoint.sqlite"
    strike = _away(program.kill, program.start, times)
    seen, found = place.tried("endpoint", strike, partial(_in_sqlite, file), "--events", str(file))
    return {**found, **times.who(seen)}


def postgres(place: Place) -> Figures:
    """kill -9 of the database that holds the log."""
    with database() as log:

        def stored() -> Stored:
            with psycopg.connect(log.url) as connection:
                rows = connection.execute(f"select id, fields from motet_events_{NAME} order by number").fetchall()
            return [(id, json.loads(fields)) for id, fields in rows]

        strike = _away(log.kill, log.start, Times())
        _, found = place.tried("postgres", strike, stored, "--events", log.url)
    return found


def disk(place: Place) -> Figures:
    """A disk without room, until some events were refused for it, and half a second more."""
    with small_disk(place.folder / "disk") as room:
        waited: list[float] = []

        async def strike(server: Serving, seen: Seen) -> None:
            refused, began = seen.tries["503"], time.monotonic()
            await asyncio.to_thread(room.fill)
            while seen.tries["503"] == refused and time.monotonic() < began + 20:
                await asyncio.sleep(0.05)
            waited.append(time.monotonic() - began)
            await asyncio.sleep(GAP / 2)
            await asyncio.to_thread(room.free)

        file = room.folder / "events.sqlite"
        _, found = place.tried("disk", strike, partial(_in_sqlite, file), "--events", str(file))
    return {**found, "means": room.how, "rounds_felt": sum(seconds < 20 for seconds in waited)}


def _away(kill: Callable[[], None], start: Callable[[], None], times: Times) -> Strike:
    async def strike(server: Serving, seen: Seen) -> None:
        await asyncio.to_thread(kill)
        since = time.monotonic()
        await asyncio.sleep(GAP)
        until = time.monotonic()
        await asyncio.to_thread(start)
        times.away.append((since, until, time.monotonic()))

    return strike


def _in_sqlite(file: Path) -> Stored:
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        rows: Iterable[tuple[str, str]] = connection.execute("select id, fields from events order by number").fetchall()
    return [(id, json.loads(fields)) for id, fields in rows]


def _since(process: int) -> int:
    """When a process was started, in ticks."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])


def prepared(folder: Path, port: int) -> str:
    """Publishes the shop, and names it as the command line does."""
    url = f"http://127.0.0.1:{port}/v1"
    graph(url).fit(shop(), store=folder, quiet=True).prepare(name=NAME)
    file = folder / "faults_graph.py"
    file.write_text(
        f"import sys\nsys.path.insert(0, {str(HERE)!r})\nfrom _shop import graph\n{NAME} = graph({url!r})\n"
    )
    return f"{file}:{NAME}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="not read")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", nargs="*", help="some of the faults: worker endpoint postgres disk")
    given = parser.parse_args()
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as made:
        folder, port = Path(made), free_port()
        place = Place(prepared(folder, port), folder, given.rounds)
        program = Program(HERE / "_shop.py", port)
        program.start()
        faults = {"worker": worker, "endpoint": partial(endpoint, program=program), "postgres": postgres, "disk": disk}
        try:
            for name in given.only or faults:
                found[name] = faults[name](place)
                print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in found[name].items()), flush=True)
        finally:
            program.kill()
    counted = ("acknowledged", "lost", "asks", "unanswered", "cut")
    totals: Figures = {key: sum(each[key] for each in found.values()) for key in counted}
    whole = {**totals, "rounds": given.rounds, "deadline_s": DEADLINE, "faults": found}
    print(json.dumps(whole) if given.json else ", ".join(f"{key} {value}" for key, value in totals.items()))


if __name__ == "__main__":
    main()
