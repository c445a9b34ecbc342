"""The store: what is kept comes back to the bit, or one clear error names the file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from motet.batch import Codes, Dense, Vocabulary
from motet.cost import Cost
from motet.errors import RunError
from motet.model import State
from motet.store import Store, states
from motet.store.cells import row_hashes


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(max_size=20),
    hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0)),
    hnp.from_dtype(np.dtype(np.float32)),
)
PART = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(), st.integers()), inner, max_size=3),
    ),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, (np.ndarray, np.generic)):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    return one == other


@given(st.dictionaries(st.text(min_size=1), PART, max_size=4))
@settings(max_examples=80)
def test_a_state_comes_back_to_the_bit(tmp_path_factory: pytest.TempPathFactory, parts: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "state.npz"
    states.write(path, State(**parts), {})
    back = states.read(path)
    assert set(back.parts) == set(parts)
    for name, part in parts.items():
        assert same(back[name], part)


def test_a_state_keeps_columns_vocabularies_and_states(store: Store) -> None:
    names = Vocabulary(pa.array(["a", "b"]))
    inner = State(keys=pa.array([1, None]), codes=Codes(np.array([1, -1], np.int32), names), names=names)
    store.keep_state("f", State(inner=inner), {})
    back = store.state("f")
    assert back is not None
    assert back["inner"]["keys"].to_pylist() == [1, None]
    assert back["inner"]["codes"].codes.tolist() == [1, -1]
    assert back["inner"]["codes"].names.tolist() == back["inner"]["names"].tolist() == ["a", "b"]


def test_about_says_what_was_said(store: Store) -> None:
    assert store.state("f") is None
    assert store.about("f") is None
    assert not store.root.exists(), "nothing is made by looking"
    store.keep_state("f", State(), {"model": "Popular()", "seconds": 0.5, "rows": 3})
    assert store.about("f") == {"model": "Popular()", "seconds": 0.5, "rows": 3}


@pytest.mark.parametrize("part", [object(), {1, 2}, np.array([None, "a"]), Dense(np.zeros((1, 1), np.float32))])
def test_what_a_state_cannot_keep_is_refused_by_name(store: Store, part: Any) -> None:
    with pytest.raises(RunError, match="state part 'odd'"):
        store.keep_state("f", State(fine=1, odd=part), {})
    assert store.state("f") is None


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 255))
@settings(max_examples=100)
def test_a_damaged_state_is_never_a_wrong_one(tmp_path_factory: pytest.TempPathFactory, at: float, by: int) -> None:
    """by: how a byte is changed; 0 cuts the file off there instead."""
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    parts = {"weights": np.arange(30.0).reshape(5, 6), "keys": ["a", "b"], "raw": b"xyz" * 9}
    states.write(path, State(**parts), {})
    data = bytearray(path.read_bytes())
    place = int(at * len(data))
    path.write_bytes(data[:place] if by == 0 else data[:place] + bytes([data[place] ^ by]) + data[place + 1 :])
    try:
        back = states.read(path)
    except RunError as error:
        assert str(path) in str(error)  # noqa: PT017
        assert "delete it" in error.help  # noqa: PT017
    else:
        assert all(same(back[name], part) for name, part in parts.items())


KEEPING = """
import os
import sys
import numpy as np
from motet.model import State
from motet.store import Store
store = Store(sys.argv[1])
for i in range(10_000):
    store.keep_state(f"f{i}", State(a=np.full(50_000, i), i=i), {"i": i})
    store.keep_value(f"f{i}", np.full(50_000, i))
    number = store.publish({"graph": "g", "states": [f"f{i}"]})
    os.write(1, f"{i} {number}\\n".encode())  # at once: an unbuffered print says each word by itself
"""


@pytest.mark.parametrize("seed", range(3))
def test_what_was_kept_survives_a_kill(store: Store, seed: int) -> None:
    arguments = [sys.executable, "-c", KEEPING, str(store.root)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(float(np.random.default_rng(seed).uniform(0, 0.3)))
    process.kill()
    said = [line.split() for line in [first, *process.communicate()[0].splitlines()]]
    for i, _ in said:
        state, value = store.state(f"f{i}"), store.value(f"f{i}")
        assert state is not None
        assert (state["a"] == int(i)).all()
        np.testing.assert_array_equal(value, state["a"])  # type: ignore[arg-type]
    now = store.current("g")
    assert now is not None
    assert now[0] in (int(said[-1][1]), int(said[-1][1]) + 1)
    assert store.state(now[1]["states"][0]) is not None
    assert store.publish({"graph": "g"}) > now[0]
    store.sweep(seconds=-1)
    assert not list(store.root.rglob("*.unfinished"))


def test_a_value_is_read_from_the_file_itself(store: Store) -> None:
    assert store.value("v") is None
    store.keep_value("v", np.arange(6, dtype=np.float32).reshape(3, 2))
    for _ in range(2):
        value: Any = store.value("v")
        assert value.tolist() == [[0, 1], [2, 3], [4, 5]]
        assert not value.flags.owndata


def test_a_damaged_value_is_refused(store: Store) -> None:
    store.keep_value("v", np.arange(1000.0))
    (path,) = store.root.glob("values/*")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match="checksum does not match"):
        store.value("v")
    path.unlink()
    store.keep_value("v", np.arange(1000.0))
    assert store.value("v") is not None


def test_versions_go_forward_and_back(store: Store) -> None:
    assert store.current("films") is None
    assert store.versions("films") == []
    for n in (1, 2):
        assert store.publish({"graph": "films", "n": n}) == n
    assert store.current("films") == (2, {"graph": "films", "n": 2})
    assert store.rollback("films") == 1
    assert [(version.number, version.current) for version in store.versions("films")] == [
        (1, True),
        (2, False),
    ]
    assert store.publish({"graph": "films", "n": 3}) == 3
    assert store.rollback("films") == 1, "what was rolled back before is not come back to"


def test_a_report_is_kept_with_its_version_and_goes_with_it(store: Store) -> None:
    for n in range(1, 5):
        store.keep_state(f"s{n}", State(n=n), {})
        store.publish({"graph": "films", "states": [f"s{n}"]})
    for n in (1, 4):
        store.keep_report("films", n, "returns", {"n": n})
    assert store.report("films", 2, "returns") is None
    found = store.report("films", 4, "returns")
    assert found is not None
    assert found["report"] == {"n": 4}
    assert time.time() - 60 < found["when"] < time.time() + 60
    store.sweep(keep=1, seconds=-1)
    assert store.report("films", 1, "returns") is None
    assert store.report("films", 4, "returns") == found
    assert [version.number for version in store.versions("films")] == [3, 4]
    with pytest.raises(RunError, match="there is no version 9 of graph 'films'"):
        store.keep_report("films", 9, "returns", {})


def test_each_graph_has_its_own_versions(store: Store) -> None:
    graphs = ["examples/films/graph.py:films", "../films", "films.json"]
    for graph in graphs:
        assert store.publish({"graph": graph}) == 1
    assert [store.current(graph) for graph in graphs] == [(1, {"graph": graph}) for graph in graphs]
    assert {path.parent for path in store.root.iterdir()} == {store.root}
    assert not (store.root.parent / "films").exists()


@pytest.mark.parametrize(("published", "said"), [(0, "nothing is published"), (1, "version 1 is current")])
def test_a_rollback_needs_a_version_before(store: Store, published: int, said: str) -> None:
    for _ in range(published):
        store.publish({"graph": "films"})
    there = sorted(store.root.rglob("*"))
    with pytest.raises(RunError, match=rf"'films' has no version to go back to: {said}[^\n]*\nhelp: "):
        store.rollback("films")
    assert sorted(store.root.rglob("*")) == there, "a refusal leaves no trace"


def test_a_sweep_leaves_what_kept_versions_refer_to(store: Store) -> None:
    for n in range(5):
        store.keep_state(f"s{n}", State(n=n), {})
        store.keep_value(f"v{n}", np.arange(n))
        store.cells(f"c{n}").add(row_hashes("f", [np.zeros(1)]), np.zeros(1))
        store.publish({"graph": "films", "states": {"fit": f"s{n}"}, "values": [f"v{n}"], f"c{n}": 1})
    store.keep_state("other", State(), {})
    store.publish({"graph": "fraud", "states": ["other"]})
    assert store.sweep(keep=2) == 0, "what was just made may be about to be published"
    assert store.sweep(keep=2, seconds=-1) > 0
    for n in range(5):
        kept = n >= 3
        assert (store.state(f"s{n}") is not None) == kept
        assert (store.value(f"v{n}") is not None) == kept
        assert store.cells(f"c{n}").known(row_hashes("f", [np.zeros(1)])).all() == kept
    assert store.state("other") is not None
    assert [version.number for version in store.versions("films")] == [4, 5]


def test_a_sweep_leaves_the_current_version_and_the_one_before(store: Store) -> None:
    for n in range(1, 6):
        store.keep_state(f"s{n}", State(n=n), {})
        store.publish({"graph": "films", "states": [f"s{n}"]})
    store.rollback("films")
    store.rollback("films")
    store.sweep(keep=1, seconds=-1)
    assert [version.number for version in store.versions("films")] == [2, 3, 5]
    assert store.rollback("films") == 2
    assert store.state("s2") is not None


def aged(store: Store) -> None:
    """Makes all that is kept look as if it had last been used twelve days ago."""
    for path in store.root.rglob("*"):
        os.utime(path, (time.time() - 1e6, time.time() - 1e6))


def test_a_sweep_leaves_what_was_used_lately_until_it_is_unused_too(store: Store) -> None:
    for name in ("used", "unused", "new", "newer"):
        store.keep_state(name, State(), {})
        store.publish({"graph": "films", "states": [name]})
    aged(store)
    assert store.state("used") is not None
    assert store.sweep(keep=1) > 0
    assert store.state("used") is not None
    assert store.state("unused") is None
    aged(store)
    assert store.sweep(keep=1) > 0
    assert store.state("used") is None
    assert [version.number for version in store.versions("films")] == [3, 4]


def test_a_sweep_leaves_what_was_never_published(store: Store) -> None:
    """A fit of an hour that was only measured so far, or the rows of a language model."""
    store.keep_state("measured", State(), {})
    store.cells("read").add(row_hashes("f", [np.zeros(1)]), np.zeros(1))
    for _ in range(5):
        store.publish({"graph": "films"})
    store.sweep(keep=1, seconds=-1)
    assert store.state("measured") is not None
    assert store.cells("read").known(row_hashes("f", [np.zeros(1)])).all()


def test_what_one_graph_has_superseded_another_may_need(store: Store) -> None:
    store.keep_state("shared", State(), {})
    store.publish({"graph": "fraud", "states": ["shared"]})
    for n in range(5):
        store.publish({"graph": "films", "states": ["shared"] if n == 0 else []})
    store.sweep(keep=1, seconds=-1)
    assert store.state("shared") is not None
    assert [version.number for version in store.versions("films")] == [4, 5]


def test_unfinished_files_are_not_read_and_are_swept(store: Store) -> None:
    cells = store.cells("c")
    cells.add(row_hashes("f", [np.zeros(1)]), np.zeros(1))
    (chunk,) = cells.folder.glob("*.arrows")
    half = chunk.with_name(f"{chunk.name}.0123.unfinished")
    half.write_bytes(chunk.read_bytes()[:50])
    assert cells.known(row_hashes("f", [np.zeros(1)])).all()
    store.publish({"graph": "g", "cells": ["c"]})
    store.sweep(seconds=-1)
    assert list(cells.folder.glob("*.unfinished")) == []
    assert cells.known(row_hashes("f", [np.zeros(1)])).all()


def test_a_damaged_version_is_named(store: Store) -> None:
    store.publish({"graph": "films"})
    (path,) = store.root.glob("versions/*/1.json")
    path.write_text('{"when": 1')
    with pytest.raises(RunError, match=r"1\.json is damaged") as raised:
        store.current("films")
    assert "motet rollback goes back to one that is whole" in raised.value.help
    path.unlink()
    with pytest.raises(RunError, match=r"there is no version 1 of graph 'films'"):
        store.current("films")


def test_a_version_that_never_was_is_said_with_those_that_are(store: Store) -> None:
    for _ in range(2):
        store.publish({"graph": "films"})
    with pytest.raises(RunError, match="there is no version 99") as raised:
        store.version("films", 99)
    assert raised.value.help == "there are: 1, 2"


def test_beside_a_damaged_version_the_others_are_read_swept_and_gone_back_to(store: Store) -> None:
    for _ in range(4):
        store.publish({"graph": "films"})
    folder = store.root / "versions" / "films"
    (folder / "2.json").write_text('{"when": 1')
    assert [version.number for version in store.versions("films")] == [1, 3, 4]
    assert store.damaged("films") == [2]
    store.sweep(keep=1, seconds=0)
    assert [version.number for version in store.versions("films")] == [3, 4]
    (folder / "4.json").write_text("{}")
    assert store.damaged("films") == [2, 4]
    assert store.rollback("films") == 3
    with pytest.raises(RunError, match="no version to go back to"):
        store.rollback("films")


@pytest.mark.parametrize("held", ["abc", "", '"7"', None])
def test_where_nothing_says_which_version_is_current_a_rollback_or_a_publish_does(
    store: Store, held: str | None
) -> None:
    for _ in range(2):
        store.publish({"graph": "films"})
    current = store.root / "versions" / "films" / "CURRENT"

    def lost() -> None:
        current.unlink() if held is None else current.write_text(held)

    lost()
    if held is not None:
        with pytest.raises(RunError, match=r"CURRENT is damaged") as raised:
            store.pointed("films")
        assert raised.value.help == "motet rollback FILE.py:films points at the newest whole version"
    assert [(version.number, version.current) for version in store.versions("films")] == [(1, False), (2, False)]
    assert store.rollback("films") == 2
    lost()
    assert store.publish({"graph": "films"}) == 3
    assert (store.pointed("films"), store.version("films", 3).before) == (3, 2)


COSTING = """
import sys
from motet.cost import Cost
from motet.store import Store
for _ in range(200):
    Store(sys.argv[1]).add_cost("f", Cost(1, 2, 0.5, 0.25, 3, 4))
"""


def test_costs_add_up_across_processes(store: Store) -> None:
    assert store.cost("f") is None
    processes = [subprocess.Popen([sys.executable, "-c", COSTING, str(store.root)]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert store.cost("f") == Cost(400, 800, 200.0, 100.0, 1200, 1600)
    assert store.cost("g") is None


def test_of_peak_memory_the_most_is_kept(store: Store) -> None:
    for cost in (Cost(calls=1), Cost(peak_bytes=30), Cost(peak_bytes=50), Cost(peak_bytes=40), Cost(calls=2)):
        store.add_cost("f", cost)
    assert store.cost("f") == Cost(calls=3, peak_bytes=50)
    store.add_cost("g", Cost(calls=1))
    store.add_cost("g", Cost(calls=1))
    assert store.cost("g") == Cost(calls=2)


def test_a_ledger_that_was_begun_before_memory_and_gpus_were_counted_goes_on(store: Store) -> None:
    store.add_cost("f", Cost(1, 2, 0.5, 0.25, 3, 4))
    with contextlib.closing(sqlite3.connect(store.root / "costs.sqlite")) as older:
        older.execute("alter table cost drop column peak_bytes")
        older.execute("alter table cost drop column gpu_seconds")
    assert store.cost("f") == Cost(1, 2, 0.5, 0.25, 3, 4)
    store.add_cost("f", Cost(1, 2, 0.5, 0.25, 3, 4, 5, 0.5))
    assert store.cost("f") == Cost(2, 4, 1.0, 0.5, 6, 8, 5, 0.5)


def test_a_ledger_that_cannot_be_opened_is_named(store: Store) -> None:
    store.add_cost("f", Cost(calls=1))
    (store.root / "costs.sqlite-opening").unlink()
    (store.root / "costs.sqlite-opening").mkdir()  # what cannot be locked, as on a disk that is read only
    with pytest.raises(RunError, match="could not use"):
        store.cost("f")


def test_a_damaged_ledger_is_named(store: Store) -> None:
    store.add_cost("f", Cost(1))
    (store.root / "costs.sqlite").write_bytes(b"not a database, certainly" * 100)
    with pytest.raises(RunError, match=r"costs\.sqlite is damaged"):
        store.cost("f")


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "store")
    for keep in (
        lambda: store.keep_state("f", State(), {}),
        lambda: store.publish({"graph": "g"}),
        lambda: store.add_cost("f", Cost()),
    ):
        with pytest.raises(RunError, match="could not write"):
            keep()
