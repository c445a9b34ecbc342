"""Search, recommendation and conversation as one task: the film that was recommended next, out of 6,576.

    OMP_WAIT_POLICY=PASSIVE python bench/converse.py --data DIR [--json] [--answers 1000]

DIR holds redial-conversations/ and movielens-1m/. ReDial: a seeker and a recommender, both people, talk about films.
At each turn of the test dialogues in which the recommender names films, every one of them is to be found among all
films of the catalogue by what was said before it (4,499 films of 3,341 turns).
recall@1, 10 and 50 with 95 % bootstrap intervals over dialogues.

conversation: what was said alone, by mt.Dialogue, MiniLM, BM25 and what the named films are about, ranked by LightGBM.
recommender: which films were named so far, by EASE, item neighbours and popularity, ranked by LightGBM.
both: all of it in one graph.
The data set comes without its training dialogues, so all is learnt from the 985 validation dialogues (3,595 films), and
the item-to-item models from the 1,307 films that 6,040 viewers of MovieLens-1M rated 4 or 5 besides. Nothing is learnt
from the test dialogues.

all: every film that was named, also those that had been named before it in the dialogue (10 %), which may be found
again: the protocol of the published figures. new: films that had not been named, all that had been left out.
accepted: the other way round, learnt from the test dialogues and MovieLens and tested on the films of the validation
dialogues of which the seeker said that they had liked them or would (only there it is known).
Published on the same test dialogues, all: UniCRS .051/.224/.428 (Wang et al. 2022, KDD), learnt from the 9,000 training
dialogues that are not here, with a pretrained dialogue model and a knowledge graph.

answers: of the first turns, about the best film, by SmolLM2-135M. nonexistent: sentences that are about something
else than the film they stand for: that do not begin with its title, or hold a capitalised name or a number that is
neither in the title nor in its columns. supported_share: sentences that claim nothing beside the columns, the seeker's
words not counted; written_share: those that the language model wrote, where the others are facts that stand in.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch starts its threads

import numpy as np
import polars as pl

import motet as mt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the examples are no part of the package
from examples.films.talk import GENRES
from motet.batch import Pairs
from motet.evaluation import Answered
from motet.fitted import Fitted
from motet.metrics import intervals, ranking
from motet.metrics.intervals import Estimate
from motet.models.content.claims import Facts, unfounded
from motet.models.content.write import facts_of
from motet.turns import Turn as Said
from motet.turns import joined

PUBLISHED = {"UniCRS": {"recall_1": 0.051, "recall_10": 0.224, "recall_50": 0.428}}
KS = (1, 10, 50)
BLOCK = 50  # answers that are written at a time


class Film(mt.Entity):
    name: mt.Key
    title: mt.Text
    genres: mt.Tags
    year: mt.Number
    plot: mt.Text
    people: mt.Text


class Dialog(mt.Entity):
    dialog_id: mt.Key


class Mention(mt.Event):
    """A film that was named in a dialogue, or that a viewer of MovieLens rated 4 or 5."""

    dialog: Dialog
    at: mt.Time
    film: Film


class Turn(mt.Event):
    """A film that the recommender names next. The end of each dialogue is a turn too, with none."""

    dialog: Dialog
    at: mt.Time
    said: mt.Text = mt.default("")
    film: Film = mt.outcome()
    named: mt.Flag = mt.outcome()


llm, embed = mt.LLM("smollm2-135m"), mt.Embed("minilm-l6")
words = Film.title + ". " + Film.genres.text() + ". " + Film.plot + " " + Film.people
meaning = embed(words)
plots = embed(Film.plot)
mentioned = mt.past(Mention.film, by=Mention.dialog, asof=Turn.dialog)

heard = mt.Dialogue(also={said: genre.lower() for said, genre in GENRES.items()})(
    Turn.said, Film.title, Film.genres, Film.year
)
query = embed(heard.query)
SAID = (
    meaning @ query,
    mt.BM25()(words, heard.query),
    mt.BM25()(words, Turn.said),
    meaning @ mt.Pool()(heard.named, meaning),
    plots @ mt.Pool()(heard.liked, plots),
)
popular = mt.Popular()(Turn.film)
DONE = (mt.EASE(l2=50)(mentioned, Film), mt.ItemKNN(k=200, shrinkage=3)(mentioned, Film), popular)
SYSTEMS: dict[str, tuple[mt.Number, ...]] = {"conversation": SAID, "recommender": DONE, "both": (*DONE, *SAID)}


def ranked(by: tuple[mt.Number, ...], new: bool) -> mt.Candidates:
    found = mt.retrieve(Film, k=200, by=by, exclude=mentioned if new else None)
    more = (heard.fits, Film.year) if by is not DONE else ()
    rank = mt.LightGBM("lambdarank", trees=150, leaves=15, learning_rate=0.05, min_rows=50)
    return rank(found, *by, *more, target=Turn.named).otherwise(found)


def graph() -> mt.Graph:
    outputs = {f"{name}_all": ranked(by, new=False).top(50) for name, by in SYSTEMS.items()}
    outputs |= {f"{name}_new": ranked(by, new=True).top(50) for name, by in SYSTEMS.items()}
    return mt.Graph(**outputs)


def films(folder: Path) -> pl.DataFrame:
    rows = pl.read_parquet(folder / "movies.parquet").unique("name", keep="first", maintain_order=True)
    people = pl.concat_list("directors", "stars").list.unique(maintain_order=True).list.join(", ")
    year = pl.col("name").str.extract(r"\((\d{4})\)\s*$").cast(pl.Float64)
    return rows.select(
        "name", pl.col("name").alias("title"), "genres", year.alias("year"), "plot", people.alias("people")
    )


def spoken(context: list[str]) -> str:
    """What was said, the seeker last; the context holds both sides in turns."""
    return joined([Said(text, (len(context) - i) % 2 == 0) for i, text in enumerate(context)])


def dialogues(
    folder: Path, split: str, known: set[str], start: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Mentions and turns of one part, from a second on: a dialogue after the other, each mention before its turn."""
    turns = pl.read_parquet(folder / "eval_turns.parquet").filter(pl.col("split") == split)
    mentions, asked = list[dict[str, Any]](), list[dict[str, Any]]()
    for number, (_, rows) in enumerate(turns.group_by("dialog_id", maintain_order=True)):
        dialog, at, before = f"{split}-{rows['dialog_id'][0]}", start + 1000 * number, 0
        last: list[str] = []
        for row in rows.sort("turn_id").to_dicts():
            at += 10
            named = [name for name in row["context_entities"][before:] if name in known]
            mentions += [{"dialog": dialog, "at": at - 5, "film": name} for name in named]
            before = len(row["context_entities"])
            said = spoken(row["context"])
            asked += [{"dialog": dialog, "at": at, "said": said, "film": f, "named": 1.0} for f in row["target_items"]]
            last = row["target_items"]
        mentions += [{"dialog": dialog, "at": at + 5, "film": name} for name in last]
        asked.append({"dialog": dialog, "at": at + 10, "said": "", "film": None, "named": None})
    return mentions, asked


def _plain(title: str) -> tuple[str, str]:
    year = re.search(r"\((\d{4})\)\s*$", title)
    bare = re.sub(r"\s*\([^()]*\)", "", title).strip()
    moved = re.match(r"^(.*), (The|A|An)$", bare)
    bare = f"{moved[2]} {moved[1]}" if moved else bare
    return re.sub(r"[^a-z0-9]+", " ", bare.lower()).strip(), year[1] if year else ""


def viewers(folder: Path, names: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The viewers of MovieLens-1M as dialogues without words: the films that they rated 4 or 5, by title and year."""
    ours = {_plain(name): name for name in names}
    movies = pl.read_parquet(folder / "movies.parquet").select("movie_id", "title")
    known = {i: ours[_plain(title)] for i, title in movies.iter_rows() if _plain(title) in ours}
    rated = pl.read_parquet(folder / "ratings.parquet").filter(
        (pl.col("rating") >= 4) & pl.col("movie_id").is_in(list(known))
    )
    rows = rated.select("user_id", "movie_id").sort("user_id")
    mentions = [{"dialog": f"ml-{u}", "at": u * 10, "film": known[i]} for u, i in rows.iter_rows()]
    users = rows["user_id"].unique().sort().to_list()
    ends = [{"dialog": f"ml-{u}", "at": u * 10 + 5, "said": "", "film": None, "named": None} for u in users]
    return mentions, ends


def data_of(folder: Path, learnt: str, tested: str) -> tuple[mt.Data, mt.Data]:
    """What is learnt from, MovieLens and one part of ReDial, and what is tested, the other part."""
    catalogue = films(folder / "redial-conversations")
    names = catalogue["name"].to_list()
    parts = [
        viewers(folder / "movielens-1m", names),
        dialogues(folder / "redial-conversations", learnt, set(names), 1_000_000),
        dialogues(folder / "redial-conversations", tested, set(names), 10_000_000),
    ]
    mentions, turns = ([row for part in parts for row in part[i]] for i in (0, 1))
    dialogs = [{"dialog_id": name} for name in dict.fromkeys(row["dialog"] for row in turns)]
    data = mt.Data({Film: catalogue, Dialog: dialogs, Mention: mentions, Turn: turns})
    return data.split(at=10_000_000 * 1_000_000)


def liked(folder: Path) -> set[tuple[str, str]]:
    """(dialogue, film) of the validation dialogues that the seeker said they had liked, or would."""
    rows = pl.read_parquet(folder / "redial-conversations" / "valid_mentions.parquet")
    said = rows.filter((pl.col("suggested") == 1) & (pl.col("liked") == 1) & pl.col("title").is_not_null())
    return {(f"valid-{d}", " ".join(t.split())) for d, t in said.select("conversation_id", "title").iter_rows()}


class Tested:
    """Every film that was named next in a part, and where each system puts it."""

    def __init__(self, fitted: Fitted, test: mt.Data) -> None:
        self.measured = fitted.evaluate(test, relevant=Turn.named).measured
        run = fitted.context(test).batch(Turn, test.asked[Turn])
        kept = np.flatnonzero(np.asarray(run.value(Turn.named)) == 1)
        film, dialog = run.field(Turn, "film"), run.field(Turn, "dialog")
        self.films = film.names.names.take(film.codes[kept]).to_pylist()
        self.dialogs = dialog.names.names.take(dialog.codes[kept]).to_pylist()
        windows = run.value(mentioned).windows
        self.new = np.array([film.codes[row] not in windows.row(row) for row in kept.tolist()])

    def recalls(self, output: str, of: Any) -> dict[str, dict[str, Any]]:
        answered = self.measured[output]
        assert isinstance(answered, Answered)
        dialogs = np.array(self.dialogs)[of]
        return {f"recall_{k}": said(intervals.mean(ranking.hit_rate(answered.ranks[of], k), dialogs)) for k in KS}


def said(found: Estimate) -> dict[str, Any]:
    figures = {
        name: None if value is None else round(value, 4)
        for name, value in zip(("value", "low", "high"), (found.value, found.low, found.high), strict=True)
    }
    return {**figures, "n": found.n}


def compared(given: Path, store: Path) -> dict[str, Any]:
    """Recalls of each system, by protocol."""
    made: dict[str, Any] = {}
    train, test = data_of(given, "valid", "test")
    tested = Tested(graph().fit(train, store=store, quiet=True), test)
    made["all"] = {name: tested.recalls(f"{name}_all", np.ones(len(tested.new), bool)) for name in SYSTEMS}
    made["new"] = {name: tested.recalls(f"{name}_new", tested.new) for name in SYSTEMS}
    show("all", made["all"])
    show("new", made["new"])
    train, test = data_of(given, "test", "valid")
    tested = Tested(graph().fit(train, store=store, quiet=True), test)
    yes = liked(given)
    accepted = np.array([pair in yes for pair in zip(tested.dialogs, tested.films, strict=True)])
    made["accepted"] = {name: tested.recalls(f"{name}_new", accepted & tested.new) for name in SYSTEMS}
    show("accepted", made["accepted"])
    return made


def show(protocol: str, systems: dict[str, Any]) -> None:
    for name, recalls in systems.items():
        figures = "  ".join(f"@{k} {_shown(recalls[f'recall_{k}'])}" for k in KS)
        print(f"{protocol:<9} {name:<13} {figures}  n={recalls['recall_1']['n']:,}", flush=True)


def _shown(figure: dict[str, Any]) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def answers(given: Path, n: int, store: Path) -> dict[str, Any]:
    """So many answers to the first turns of the test dialogues, each sentence looked at by itself."""
    write = mt.Write(llm, "Answer {query} using only {films}.")
    best = mt.retrieve(Film, k=50, by=[*SAID, *DONE], where=heard.fits).top(1)
    reply = write(query=heard.query, films=best).within(seconds=3600, otherwise=mt.Template()(best))
    counted: Counter[str] = Counter()
    train, test = data_of(given, "valid", "test")
    context = mt.Graph(best=best, reply=reply).fit(train, store=store, quiet=True).context(test)
    titles = set(films(given / "redial-conversations")["title"].to_list())
    texts: list[str] = context.batch(Turn, test.asked[Turn]).value(Turn.said).to_pylist()
    first = {text: row for row, text in reversed(list(enumerate(texts))) if text}
    asked = test.asked[Turn][sorted(first.values())[:n]]
    began = time.perf_counter()
    for low in range(0, len(asked), BLOCK):
        run = context.batch(Turn, asked[low : low + BLOCK])
        pairs: Pairs = run.value(best)
        facts = facts_of({name: run.value(getattr(Film, name)) for name in TOLD}, pairs.items)
        for row, text in enumerate(run.value(reply).to_pylist()):
            counted.update(looked_at(text, facts[pairs.offsets[row] : pairs.offsets[row + 1]], titles))
        print(f"{counted['answers']:,} answers, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    sentences = counted["sentences"]
    made: dict[str, Any] = {"answers": counted["answers"], "empty": counted["empty"], "sentences": sentences}
    made |= {"nonexistent": counted["nonexistent"], "unsupported": counted["unsupported"]}
    made |= {"supported_share": round(1 - counted["unsupported"] / max(sentences, 1), 4)}
    return made | {"written_share": round(counted["written"] / max(sentences, 1), 4)}


TOLD = ("title", "genres", "year", "plot", "people")


def looked_at(text: str, facts: list[Facts], titles: set[str]) -> Iterator[str]:
    """What there is to count in one answer."""
    yield "answers"
    if not facts:
        yield "empty"
        return
    starts = [0]
    for each in facts[1:]:
        starts.append(text.find(f" {each.title}", starts[-1] + 1) + 1)
    for start, end, each in zip(starts, [*starts[1:], len(text) + 1], facts, strict=True):
        sentence = text[start : end - 1 if end <= len(text) else end]
        rest = sentence[len(each.title) :]
        yield "sentences"
        strange = unfounded(rest, each, "", [])
        named = any(word[0].isupper() or word[0].isdigit() for word in strange)
        if each.title not in titles or not sentence.startswith(each.title) or named:
            yield "nonexistent"
        if strange and sentence != each.template:
            yield "unsupported"
        if sentence != each.template:
            yield "written"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--answers", type=int, default=1000, help="answers that are written and checked; 0 for none")
    parser.add_argument("--store", type=Path, help="a folder that keeps what was fitted for the next run")
    given = parser.parse_args()
    with contextlib.ExitStack() as until:
        store = given.store or Path(until.enter_context(tempfile.TemporaryDirectory()))
        made = compared(given.data, store)
        written = answers(given.data, given.answers, store) if given.answers else {}
    headline = {f"recall_{k}": {name: made["all"][name][f"recall_{k}"] for name in SYSTEMS} for k in KS}
    print("\n".join(f"{name}: {value}" for name, value in written.items()))
    if given.json:
        print(
            json.dumps({**headline, "new": made["new"], "accepted": made["accepted"], "published": PUBLISHED} | written)
        )


if __name__ == "__main__":
    main()
