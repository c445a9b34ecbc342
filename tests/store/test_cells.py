"""Cells: what is acknowledged is there, whatever happens to the process."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motet.batch import Array, Codes, Ragged, Vocabulary
from motet.errors import RunError
from motet.store.cells import Cells, row_hashes
from motet.store.chunks import FEW
from motet.windows import Windows

ADDING = """
import sys
import numpy as np
from motet.store.cells import Cells, row_hashes
cells, first, rows = Cells(__import__("pathlib").Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
for start in range(first, first + int(sys.argv[4]) * rows, rows):
    numbers = np.arange(start, start + rows, dtype=np.float64)
    cells.add(row_hashes("f", [numbers]), np.stack([numbers, numbers * 2], 1).astype(np.float32))
    print(start + rows, flush=True)
"""


def hashed(numbers: Array) -> Array:
    return row_hashes("f", [np.asarray(numbers, np.float64)])


def adding(folder: Path, first: int, rows: int, adds: int) -> subprocess.Popen[str]:
    arguments = [str(folder), str(first), str(rows), str(adds)]
    return subprocess.Popen([sys.executable, "-c", ADDING, *arguments], stdout=subprocess.PIPE, text=True)


def check(cells: Cells, numbers: Array) -> None:
    assert cells.known(hashed(numbers)).all()
    expected = np.stack([numbers, numbers * 2], 1).astype(np.float32)
    np.testing.assert_array_equal(cast(Array, cells.read(hashed(numbers))), expected)


def test_rows_come_back_in_the_order_asked_across_chunks(tmp_path: Path) -> None:
    cells = Cells(tmp_path / "c")
    for start in range(0, 50, 7):
        numbers = np.arange(start, min(start + 7, 50), dtype=np.float64)
        cells.add(hashed(numbers), np.stack([numbers, numbers * 2], 1).astype(np.float32))
    asked = np.random.default_rng(1).integers(0, 50, 200).astype(np.float64)
    check(cells, asked)
    check(Cells(tmp_path / "c"), asked)
    assert cast(Array, cells.read(hashed(asked[:0]))).shape == (0, 2)


def test_only_what_was_added_is_known(tmp_path: Path) -> None:
    cells = Cells(tmp_path / "c")
    assert cells.known(hashed(np.arange(3))).tolist() == [False] * 3
    cells.add(hashed(np.array([1])), np.array([5.0]))
    assert cells.known(hashed(np.arange(3))).tolist() == [False, True, False]
    with pytest.raises(RunError, match="2 of 3 rows are not known"):
        cells.read(hashed(np.arange(3)))


def test_a_row_keeps_its_first_value(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    for value in (1.0, 2.0, *range(3, 3 + FEW)):
        cells.add(hashed(np.array([7])), np.array([value]))
        assert cells.read(hashed(np.array([7]))) == [1.0]


def test_a_wrong_number_of_values_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="3 rows"):
        Cells(tmp_path).add(hashed(np.arange(3)), np.zeros(2))


def test_values_of_every_kind_survive_merging(tmp_path: Path) -> None:
    moods, tags = pa.array(["sad", "gay"]), pa.array(["war", "sea"])
    cells, n = Cells(tmp_path), FEW * 2 + 1
    for i in range(n):
        names = Vocabulary(moods if i % 2 else moods[::-1])
        windows = Windows.of(np.array([0, 1] if i % 3 else [0], np.int32), np.array([0, 2 if i % 3 else 1]))
        value = {
            "mood": Codes(np.array([i % 2], np.int32), names),
            "tags": Ragged(windows, Vocabulary(tags)),
            "said": pa.array([None if i % 5 == 0 else f"text {i}"], pa.string()),
        }
        cells.add(hashed(np.array([i])), value, [None if i % 5 else "it said nothing"])
    assert len(list(tmp_path.glob("*.arrows"))) < FEW
    for reader in (cells, Cells(tmp_path)):
        back = cast(Any, reader.read(hashed(np.arange(n))))
        assert back["said"].to_pylist() == [f"text {i}" if i % 5 else None for i in range(n)]
        assert back["mood"].names.names.take(pa.array(back["mood"].codes)).to_pylist() == ["gay"] * n
        assert back["tags"].windows.lengths.tolist() == [2 if i % 3 else 1 for i in range(n)]
        assert reader.problems(hashed(np.arange(n + 9))) == {"it said nothing": len(range(0, n, 5))}


def test_merging_keeps_chunks_few_and_breaks_no_reader(tmp_path: Path) -> None:
    reader, writer = Cells(tmp_path), Cells(tmp_path)
    for i in range(200):
        numbers = np.array([float(i)])
        writer.add(hashed(numbers), np.stack([numbers, numbers * 2], 1).astype(np.float32))
        if i % 20 == 0:
            check(reader, np.arange(i + 1.0))
    assert len(list(tmp_path.glob("*.arrows"))) <= 2 * FEW
    check(reader, np.arange(200.0))


@pytest.mark.parametrize("seed", range(5))
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, seed: int) -> None:
    process = adding(tmp_path / "c", 0, 3, 10_000)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(float(np.random.default_rng(seed).uniform(0, 0.4)))
    process.kill()
    said = process.communicate()[0].split()
    acknowledged = int(said[-1]) if said else 3
    cells = Cells(tmp_path / "c")
    check(cells, np.arange(float(acknowledged)))
    beyond = cells.known(hashed(np.arange(acknowledged, acknowledged + 30)))
    assert beyond[:3].all() == beyond[:3].any(), "a commit is whole or not there"
    assert not beyond[3:].any()
    numbers = np.arange(float(acknowledged), acknowledged + 3)
    cells.add(hashed(numbers), np.stack([numbers, numbers * 2], 1).astype(np.float32))
    check(cells, np.arange(acknowledged + 3.0))


def test_two_processes_add_while_a_third_reads(tmp_path: Path) -> None:
    processes = [adding(tmp_path / "c", first, 2, 100) for first in (0, 1000, 1000)]
    reader = Cells(tmp_path / "c")
    while any(process.poll() is None for process in processes):
        known = np.flatnonzero(reader.known(hashed(np.arange(0, 200))))
        if len(known):
            check(reader, known.astype(float))
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    check(reader, np.concatenate([np.arange(200.0), np.arange(1000.0, 1200.0)]))


def test_a_truncated_chunk_is_named_and_the_rest_stays(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    cells.add(hashed(np.array([1])), np.array([1.0]))
    whole = set(tmp_path.glob("*.arrows"))
    cells.add(hashed(np.array([2])), np.array([2.0]))
    (path,) = set(tmp_path.glob("*.arrows")) - whole
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RunError, match=path.name):
        Cells(tmp_path).known(hashed(np.array([1])))
    path.unlink()
    assert Cells(tmp_path).known(hashed(np.array([1, 2]))).tolist() == [True, False]


LIMITED = """
import resource, signal, sys, pathlib
import numpy as np
from motet.store.cells import Cells, row_hashes
from motet.errors import RunError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
cells = Cells(pathlib.Path(sys.argv[1]))
numbers = np.arange(1000.0)
cells.add(row_hashes("f", [numbers[:9]]), numbers[:9])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    cells.add(row_hashes("f", [numbers]), numbers)
except RunError as error:
    print(error)
"""


def test_a_write_that_the_system_refuses_is_one_clear_error(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.startswith(f"could not write {tmp_path}"), done.stderr
    assert "help: make room" in done.stdout
    assert Cells(tmp_path).known(hashed(np.arange(12))).tolist() == [True] * 9 + [False] * 3
    assert len(list(tmp_path.iterdir())) == 1, "what was half written is gone"


NAMES = ["a", "b", "", "ab", "\x00", "ä"]


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=12), st.permutations(range(6)))
@settings(max_examples=100)
def test_codes_and_tags_hash_by_name(found: list[int], order: list[int]) -> None:
    codes, back = np.array(found, np.int32), np.append(np.argsort(order), -1).astype(np.int32)
    one, other = Vocabulary(pa.array(NAMES)), Vocabulary(pa.array([NAMES[i] for i in order]))
    np.testing.assert_array_equal(row_hashes("f", [Codes(codes, one)]), row_hashes("f", [Codes(back[codes], other)]))
    offsets = np.array([0, len(codes) // 2, len(codes)])
    np.testing.assert_array_equal(
        row_hashes("f", [Ragged(Windows.of(codes, offsets), one)]),
        row_hashes("f", [Ragged(Windows.of(back[codes], offsets), other)]),
    )


TEXT = st.one_of(st.none(), st.sampled_from(["", "a", "ab", "b", "\x00"]))
ROW = st.tuples(TEXT, TEXT, st.sampled_from([0.0, 1.0, np.nan]), st.lists(st.sampled_from("ab"), max_size=2))


@given(st.lists(ROW, min_size=1, max_size=20))
@settings(max_examples=150)
def test_rows_hash_equal_exactly_when_they_are_equal(rows: list[Any]) -> None:
    first, second, numbers, tags = zip(*rows, strict=True)
    flat = np.array(["ab".index(tag) for row in tags for tag in row], np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in tags])]).astype(np.int64)
    values = [
        {"one": pa.array(first, pa.string()), "other": pa.array(second, pa.string())},
        np.array(numbers),
        Ragged(Windows.of(flat, offsets), Vocabulary(pa.array(["a", "b"]))),
    ]
    hashes = [bytes(h) for h in row_hashes("f", values)]
    said = [repr(row) for row in rows]
    assert len(set(hashes)) == len(set(said)) == len(set(zip(hashes, said, strict=True)))


def test_a_hash_depends_on_the_row_alone_however_many_there_are() -> None:
    n = 70_000
    texts = pa.array([None if i % 7 == 0 else f"id {i % 1000}" for i in range(n)])
    vectors = np.arange(n * 2, dtype=np.float32).reshape(n, 2)
    all_of_them = row_hashes("f", [texts, vectors])
    for i in (0, 1, 65_535, 65_536, n - 1):
        assert row_hashes("f", [texts.slice(i, 1), vectors[i : i + 1]])[0] == all_of_them[i]
    assert len(np.unique(all_of_them.view("S16"))) == n
    assert row_hashes("g", [texts.slice(0, 1), vectors[:1]])[0] != all_of_them[0]


def test_no_rows_have_no_hashes() -> None:
    assert row_hashes("f", [pa.array([], pa.string())]).shape == (0,)


def test_inputs_of_unequal_length_are_refused() -> None:
    with pytest.raises(RunError, match=r"\[1, 2\] rows"):
        row_hashes("f", [np.zeros(1), np.zeros(2)])


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_a_text_is_the_same_in_every_arrow_type(kind: Any) -> None:
    texts = pa.array(["a", None, ""])
    np.testing.assert_array_equal(row_hashes("f", [texts.cast(kind)]), row_hashes("f", [texts]))
