"""The main job on real films, start to end: check, plan, fit, evaluate, prepare, ask."""

from __future__ import annotations

import sys
import time

import motet as mt
from examples.films.graph import Visit, data, films
from examples.films.plain import plain
from motet.evaluation import Figure, table

TEST_FROM = "1998-04-01"  # the last three weeks of seven months are replayed as requests


def main() -> None:
    started = time.perf_counter()
    everything = data()
    train, test = everything.split(at=TEST_FROM)
    heading("Data: MovieLens-100K (GroupLens: for research, not to be passed on)")
    print(everything.summary())

    heading("Plan: what is computed when, and what it costs")
    print(films.plan(everything, measure=True))

    heading(f"Fit on what happened before {TEST_FROM}")
    fitted = films.fit(train)
    without = plain.fit(train)

    heading("Evaluate: every later visit is asked, all films are ranked; 95 % intervals by viewer")
    ours, theirs = fitted.evaluate(test), without.evaluate(test)
    print(figures("with the embedder and the language model", ours.figures))
    print(figures("without them", theirs.figures))
    print(figures("difference, paired", ours.against(theirs)))

    heading("Prepare: all that no request is part of, and publish it")
    print(fitted.prepare(everything, name="films"))

    heading("Ask")
    show(fitted, viewer=7)
    show(fitted, viewer=99999)
    show(fitted, viewer=7, query="something funny about the sea")
    print(f"\n{time.perf_counter() - started:.0f} s in all", file=sys.stderr)


def figures(title: str, found: list[Figure]) -> str:
    """How good the ten are, and how much the hundred that they are chosen from hold; warm and cold films apart."""
    shown = [f for f in found if (f.output, f.metric) in (("top", "NDCG@10"), ("found", "recall@100"))]
    return f"{title}\n{table(shown)}\n"


def show(fitted: mt.Fitted, **ask: object) -> None:
    started = time.perf_counter()
    answer = fitted.ask(**ask)
    milliseconds = (time.perf_counter() - started) * 1e3
    print(f"\n{Visit.__name__}({', '.join(f'{k}={v!r}' for k, v in ask.items())})  {milliseconds:.0f} ms")
    # Nobody in these data ever asked for anything, so the ranker has learnt nothing of queries: retrieval answers them.
    shown = "found" if "query" in ask else "top"
    print(f"  {shown}")
    for film in answer[shown][:5]:
        print(f"  {film['score']:7.3f}  {film['title']}")
    print(f"  reply, about the first three of top\n  {answer['reply']!r}")


def heading(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    main()
