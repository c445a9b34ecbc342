"""Prepare: computes what is new and nothing else, and a killed run resumes where it was."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import motet as mt
from motet import search
from motet.batch import Array, Batch
from motet.column import column
from motet.errors import MotetError, RunError
from motet.prepare import prepared_columns
from motet.search import Index


@dataclass(frozen=True)
class Length(mt.Model):
    """How long each text is: a costly model of four rows a block, that says what it was asked."""

    factor: int = 1

    costly: ClassVar[bool] = True
    asked: ClassVar[list[str]] = []

    def __call__(self, text: mt.Text) -> mt.Number:
        return column(mt.Number, self, text=text)

    def block(self) -> int:
        return 4

    def apply(self, state: mt.State, batch: Batch) -> Array:
        texts: list[Any] = batch["text"].to_pylist()
        if "fail" in texts:
            raise ValueError("this text cannot be read")
        self.asked.extend(texts)
        return np.array([self.factor * len(text or "") for text in texts], np.float64)


class Film(mt.Entity):
    film_id: mt.Key
    title: mt.Text
    year: mt.Number


class Viewer(mt.Entity):
    viewer_id: mt.Key


class Visit(mt.Event):
    viewer: Viewer
    at: mt.Time
    film: Film = mt.outcome()


def graph(factor: int = 1) -> mt.Graph:
    length = Length(factor)(Film.title)
    return mt.Graph(top=mt.retrieve(Film, k=3, by=[length * 2], exclude=mt.past(Visit.film, by=Visit.viewer)))


def films(n: int = 10, change: Callable[[int, str], str] = lambda i, title: title) -> mt.Data:
    rows = [{"film_id": i, "title": change(i, "x" * (i + 1)), "year": 1990 + i} for i in range(n)]
    visits = [{"viewer": "v", "at": 100, "film": 0}, {"viewer": "v", "at": 200, "film": 1}]
    return mt.Data({Film: rows, Visit: visits})


@pytest.fixture(autouse=True)
def asked() -> list[str]:
    Length.asked.clear()
    return Length.asked


def ready(store: Path, data: mt.Data, factor: int = 1) -> mt.Fitted:
    return graph(factor).fit(data, store=store, quiet=True)


def test_only_what_a_request_reads_is_prepared() -> None:
    length = Length()(Film.title)
    by = [length * 2 + Film.year, mt.Popular()(Visit.film)]
    outline = mt.Graph(top=mt.retrieve(Film, k=3, by=by, exclude=mt.past(Visit.film, by=Visit.viewer)))
    names = {outline.name(c) for c in prepared_columns(outline)}
    assert "length" in names  # costly
    assert any("+" in name for name in names)  # read by the retrieval
    assert not any(name.startswith("*") for name in names)  # on the way only
    assert all(not any(record.is_event for record in c.grain) for c in prepared_columns(outline))


def test_everything_is_computed_once(tmp_path: Path, asked: list[str]) -> None:
    fitted = ready(tmp_path, films())
    assert fitted.prepare().new == 10
    assert sorted(asked) == ["x" * (i + 1) for i in range(10)]
    assert fitted.prepare().new == 0
    assert len(asked) == 10


def test_a_new_process_finds_what_was_computed(tmp_path: Path, asked: list[str]) -> None:
    ready(tmp_path, films()).prepare()
    asked.clear()
    done = ready(tmp_path, films()).prepare()
    assert (done.new, done.rows, asked) == (0, 10, [])


def test_a_changed_row_and_a_new_row_are_computed_and_no_other(tmp_path: Path, asked: list[str]) -> None:
    fitted = ready(tmp_path, films())
    fitted.prepare()
    asked.clear()
    done = fitted.prepare(films(11, lambda i, title: "changed" if i == 4 else title))
    assert asked == ["changed", "x" * 11]
    assert (done.new, done.rows) == (2, 11)
    top = fitted.ask(viewer="w")["top"]
    assert [film["film_id"] for film in top] == [10, 9, 8]


def test_what_changed_equals_a_computation_from_nothing(tmp_path: Path) -> None:
    def later(i: int, title: str) -> str:
        return title[::-1] + "y" * (i % 3)

    one = ready(tmp_path / "one", films())
    one.prepare()
    one.prepare(films(12, later))
    other = ready(tmp_path / "other", films(12, later))
    other.prepare()
    asks = [{"viewer": "v", "at": 300}, {"viewer": "new", "at": 300}]
    assert one.ask_many(asks) == other.ask_many(asks)


def test_a_field_that_nothing_costly_reads_costs_nothing(tmp_path: Path, asked: list[str]) -> None:
    fitted = ready(tmp_path, films())
    fitted.prepare()
    asked.clear()
    rows = [{"film_id": i, "title": "x" * (i + 1), "year": 1900} for i in range(10)]
    assert fitted.prepare(mt.Data({Film: rows, Visit: [{"viewer": "v", "at": 1, "film": 0}]})).new == 0
    assert asked == []


def test_equal_inputs_are_computed_once(tmp_path: Path, asked: list[str]) -> None:
    done = ready(tmp_path, films(6, lambda i, title: "same")).prepare()
    assert (asked, done.new) == (["same"], 1)


def test_another_config_computes_its_own(tmp_path: Path, asked: list[str]) -> None:
    ready(tmp_path, films()).prepare()
    assert ready(tmp_path, films(), factor=2).prepare().new == 10


def test_a_failure_keeps_the_blocks_before_it(tmp_path: Path, asked: list[str]) -> None:
    fitted = ready(tmp_path, films(10, lambda i, title: "fail" if i == 9 else title))
    with pytest.raises(MotetError, match="this text cannot be read"):
        fitted.prepare()
    asked.clear()
    assert ready(tmp_path, films()).prepare().new == 2  # of blocks of four the third had failed
    assert len(asked) == 2


def test_a_failure_publishes_nothing(tmp_path: Path) -> None:
    fitted = ready(tmp_path, films())
    fitted.prepare()
    with pytest.raises(MotetError):
        fitted.prepare(films(10, lambda i, title: "fail"))
    assert len(fitted.store.versions("graph")) == 1
    assert [film["film_id"] for film in mt.published(graph(), store=tmp_path).ask(viewer="w")["top"]] == [9, 8, 7]


class Numbers(np.ndarray[Any, Any]):
    """Values that say why some are missing."""

    problems: tuple[str | None, ...]


@dataclass(frozen=True)
class Half(mt.Model):
    """Half of a number; an odd one has none."""

    costly: ClassVar[bool] = True

    def __call__(self, number: mt.Number) -> mt.Number:
        return column(mt.Number, self, number=number)

    def apply(self, state: mt.State, batch: Batch) -> Array:
        odd = batch["number"] % 2 == 1
        made = np.where(odd, np.nan, batch["number"] / 2).view(Numbers)
        made.problems = tuple("it is odd" if each else None for each in odd.tolist())
        return made


def test_why_values_are_missing_is_counted(tmp_path: Path) -> None:
    half = Half()(Film.year)
    outline = mt.Graph(half=half)
    computed = outline.fit(films(), store=tmp_path, quiet=True).prepare()
    found = outline.fit(films(), store=tmp_path, quiet=True).prepare()
    assert computed.problems == found.problems == {"half": {"it is odd": 5}}
    assert "half: 5 x it is odd" in str(found)


KILLED = """
import sys, time
from pathlib import Path
from tests import test_prepare as t

whole = t.Length.apply
def slowly(self, state, batch):
    made = whole(self, state, batch)
    print(len(made), flush=True)
    time.sleep(0.05)
    return made
t.Length.apply = slowly
t.ready(Path(sys.argv[1]), t.films(200)).prepare()
"""


def test_a_killed_run_resumes_where_it_was(tmp_path: Path, asked: list[str]) -> None:
    """Every block that was begun after another is proof that the one before is kept."""
    begun = 0
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as run:
        for _ in run.stdout or ():
            begun += 1
            if begun == 10:
                run.kill()
                break
    fitted = ready(tmp_path, films(200))
    assert fitted.store.current("graph") is None
    done = fitted.prepare()
    assert 0 < done.new <= 200 - 4 * (begun - 1)
    assert len(set(asked)) == len(asked) == done.new
    assert [film["film_id"] for film in fitted.ask(viewer="w")["top"]] == [199, 198, 197]


class Song(mt.Entity):
    song_id: mt.Key
    tempo: mt.Number
    sound: mt.Vector


class Play(mt.Event):
    at: mt.Time
    mood: mt.Number
    song: Song = mt.outcome()


class Vectors(Numbers):
    passing: tuple[bool, ...]


@dataclass(frozen=True)
class Waves(mt.Model):
    """The vector of a number."""

    def __call__(self, number: mt.Number) -> mt.Vector:
        return column(mt.Vector, self, number=number)

    def apply(self, state: mt.State, batch: Batch) -> Array:
        return waves(batch["number"])


@dataclass(frozen=True)
class CostlyWaves(Waves):
    """The same at some cost; the numbers in `busy` fail this time."""

    costly: ClassVar[bool] = True
    busy: ClassVar[set[float]] = set()

    def apply(self, state: mt.State, batch: Batch) -> Array:
        made = waves(batch["number"]).view(Vectors)
        made.passing = tuple(number in self.busy for number in batch["number"].tolist())
        made.problems = tuple("the endpoint was busy" if failed else None for failed in made.passing)
        return made


def waves(numbers: Array) -> Array:
    """Of one length each, so that what is most like a number is that number."""
    angles = np.outer(numbers, np.arange(1, 4))
    return np.hstack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def songs(n: int = 40, change: float = 0.0) -> mt.Data:
    tempo = np.arange(n) / 7 + change
    rows = [{"song_id": i, "tempo": t, "sound": waves(t)[0].tolist()} for i, t in enumerate(tempo)]
    return mt.Data({Song: rows, Play: [{"at": 100, "mood": 0.5, "song": 0}]})


def searched(items: mt.Vector, store: Path, data: mt.Data | None = None) -> mt.Fitted:
    return found_by(items).fit(data or songs(), store=store, quiet=True)


def found_by(items: mt.Vector) -> mt.Graph:
    return mt.Graph(best=mt.retrieve(Song, k=5, by=[Waves()(Play.mood) @ items]))


MOODS: list[dict[str, Any]] = [{"mood": mood, "at": 200} for mood in (0.1, 1.9, 4.4)]
TEMPO = Waves()(Song.tempo)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many items each index was built over, where those of more than 20 items are built."""
    sizes, build = list[int](), Index.build

    def counted(items: Array, **how: Any) -> Index:
        sizes.append(len(items))
        return build(items, **how)

    monkeypatch.setattr(Index, "build", staticmethod(counted))
    monkeypatch.setattr(search, "EXACT_UP_TO", 20)
    return sizes


@pytest.mark.parametrize("items", [TEMPO, Song.sound, CostlyWaves()(Song.tempo).otherwise(Song.sound)])
def test_an_index_is_built_once_and_viewed_by_all_that_answer(
    tmp_path: Path, built: list[int], items: mt.Vector
) -> None:
    found = searched(items, tmp_path / "unprepared").ask_many(MOODS)
    assert built == [40]
    fitted = searched(items, tmp_path)
    indexes = fitted.prepare().indexes
    built.clear()
    assert fitted.ask_many(MOODS) == found
    assert mt.published(found_by(items), store=tmp_path, quiet=True).ask_many(MOODS) == found
    assert searched(items, tmp_path).prepare().indexes == indexes
    assert built == []


def test_a_viewed_index_lies_in_the_file_itself(tmp_path: Path, built: list[int]) -> None:
    fitted = searched(TEMPO, tmp_path)
    (name,) = fitted.prepare().indexes
    kept: Any = fitted.store.value(name)
    assert not kept.flags.owndata
    assert not kept.flags.writeable
    assert len(Index.view(kept)) == 40


def test_few_items_keep_no_index(tmp_path: Path, built: list[int]) -> None:
    fitted = searched(TEMPO, tmp_path, songs(20))
    assert fitted.prepare().indexes == ()
    assert len(fitted.ask_many(MOODS)) == 3
    assert built == []


def test_changed_vectors_have_an_index_of_their_own_which_goes_with_their_version(
    tmp_path: Path, built: list[int]
) -> None:
    fitted = searched(TEMPO, tmp_path)
    names = [name for change in range(5) for name in fitted.prepare(songs(change=change / 10)).indexes]
    assert len(set(names)) == len(built) == 5
    fitted.store.sweep(keep=2, seconds=-1)
    assert [fitted.store.value(name) is not None for name in names] == [False] * 3 + [True] * 2
    answers = mt.published(found_by(TEMPO), store=tmp_path, quiet=True).ask_many(MOODS)
    assert len(built) == 5
    assert answers == searched(TEMPO, tmp_path / "other", songs(change=0.4)).ask_many(MOODS)


def test_rows_that_are_computed_later_are_found_by_a_new_index(tmp_path: Path, built: list[int]) -> None:
    fitted = searched(CostlyWaves()(Song.tempo), tmp_path)
    wanted = {"mood": 5 / 7, "at": 200}
    CostlyWaves.busy.add(5 / 7)
    first = fitted.prepare().indexes
    assert fitted.ask(**wanted)["best"][0]["song_id"] != 5
    CostlyWaves.busy.clear()
    assert fitted.prepare().indexes != first
    assert fitted.ask(**wanted)["best"][0]["song_id"] == 5
    assert len(built) == 2


def test_what_follows_from_rows_that_are_computed_later_is_made_again(tmp_path: Path) -> None:
    like = CostlyWaves()(Song.tempo) @ Song.sound
    graph = mt.Graph(best=mt.retrieve(Song, k=5, by=[like, Waves()(Play.mood) @ Song.sound]))
    CostlyWaves.busy.add(5 / 7)
    fitted = graph.fit(songs(), store=tmp_path, quiet=True)
    fitted.prepare()
    assert mt.published(graph, store=tmp_path, quiet=True).live.shared(like)[5] != pytest.approx(3)
    CostlyWaves.busy.clear()
    fitted.prepare()
    assert mt.published(graph, store=tmp_path, quiet=True).live.shared(like) == pytest.approx(np.full(40, 3))


def test_a_damaged_index_is_refused_and_a_missing_one_is_built_in_memory(tmp_path: Path, built: list[int]) -> None:
    fitted = searched(TEMPO, tmp_path)
    (name,) = fitted.prepare().indexes
    found = fitted.ask_many(MOODS)
    (path,) = tmp_path.glob(f"values/{name}*")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match="checksum does not match"):
        mt.published(found_by(TEMPO), store=tmp_path, quiet=True).ask_many(MOODS)
    with pytest.raises(RunError, match="checksum does not match"):
        searched(TEMPO, tmp_path).prepare()
    path.unlink()
    assert mt.published(found_by(TEMPO), store=tmp_path, quiet=True).ask_many(MOODS) == found
    assert not path.exists()
    assert searched(TEMPO, tmp_path).prepare().indexes == (name,)
    assert path.exists()
    assert len(built) == 3


def test_an_index_that_was_interrupted_is_not_there(
    tmp_path: Path, built: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = searched(TEMPO, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Index, "data", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fitted.prepare()
    assert fitted.store.current("graph") is None
    (name,) = fitted.prepare().indexes
    assert fitted.store.value(name) is not None
    assert len(built) == 2


def interrupted(*args: Any) -> None:
    raise KeyboardInterrupt


def test_the_work_on_an_index_is_shown(tmp_path: Path, built: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    sound = Song.sound
    graph = mt.Graph(best=mt.retrieve(Song, k=5, by=[Waves()(Play.mood) @ sound]))
    graph.fit(songs(), store=tmp_path).prepare()
    assert "index sound: 40 of 40 items" in capsys.readouterr().err
