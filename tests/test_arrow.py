"""Values to Arrow and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from motet.arrow import from_arrow, to_arrow
from motet.batch import Codes, Dense, Ragged, Value, Vocabulary
from motet.errors import RunError
from motet.store import sealed
from motet.windows import Windows


def plain(value: Any) -> Any:
    """What a value means, in a form that `==` compares to the bit."""
    if isinstance(value, Mapping):
        return {name: plain(column) for name, column in cast(Mapping[str, Any], value).items()}
    if isinstance(value, pa.Array):
        return str(value.type), value.to_pylist()
    if isinstance(value, Codes):
        return "codes", plain(value.codes), plain(value.names.names)
    if isinstance(value, Ragged):
        flat, offsets = value.windows.flat()
        return (
            "ragged",
            plain(flat),
            offsets.tolist(),
            None if value.names is None else plain(value.names.names),
        )
    return value.dtype.str, value.shape, value.tobytes()


NUMBERS = st.one_of(
    hnp.arrays(st.sampled_from([np.float64, np.float32, np.int64, np.bool_, np.int32]), st.integers(0, 9)),
    hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(0, 4))),
    hnp.arrays(np.uint8, st.tuples(st.integers(0, 3), st.just(2), st.just(3))),
)
TEXTS = st.lists(st.one_of(st.none(), st.text()), max_size=9).map(lambda texts: pa.array(texts, pa.string()))
KEYS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=9).map(lambda keys: pa.array(keys, pa.int64()))
NAMES = st.lists(st.text(), unique=True, max_size=5).map(lambda names: Vocabulary(pa.array(names, pa.string())))


@st.composite
def codes(draw: st.DrawFn) -> Codes:
    names = draw(NAMES)
    found = draw(st.lists(st.integers(-1, len(names) - 1), max_size=9))
    return Codes(np.array(found, np.int32), names)


@st.composite
def ragged(draw: st.DrawFn) -> Ragged:
    inner = draw(st.one_of(codes(), hnp.arrays(np.float64, st.integers(0, 9))))
    cuts = [sorted(draw(st.tuples(*[st.integers(0, len(inner))] * 2))) for _ in range(draw(st.integers(0, 5)))]
    bounds = np.array(cuts, np.int64).reshape(-1, 2)
    windows = Windows(inner.codes if isinstance(inner, Codes) else inner, bounds[:, 0], bounds[:, 1])
    return Ragged(windows, inner.names if isinstance(inner, Codes) else None)


COLUMNS = st.one_of(NUMBERS, TEXTS, KEYS, codes(), ragged())


@given(COLUMNS)
@settings(max_examples=300)
def test_every_kind_comes_back_to_the_bit(value: Value) -> None:
    assert plain(from_arrow(to_arrow(value))) == plain(value)


def test_a_filled_record_comes_back_with_its_fields_in_order() -> None:
    mood = Codes(np.array([0, -1], np.int32), Vocabulary(pa.array(["sad"])))
    value = {"mood": mood, "said": pa.array(["a", None]), "more": {"n": np.array([1.0, np.nan])}}
    back = from_arrow(to_arrow(value))
    assert list(cast(Mapping[str, Any], back)) == list(value)
    assert plain(back) == plain(value)


@pytest.mark.filterwarnings("error")
def test_a_file_comes_back_and_shares_its_memory(tmp_path: Any) -> None:
    matrix = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    sealed.write(tmp_path / "m.arrows", to_arrow(matrix))
    back = cast(Any, from_arrow(sealed.read(tmp_path / "m.arrows")))
    np.testing.assert_array_equal(back, matrix)
    assert not back.flags.owndata
    assert not back.flags.writeable


def test_a_file_is_an_arrow_stream_that_others_read(tmp_path: Any) -> None:
    sealed.write(tmp_path / "m.arrows", to_arrow(pa.array(["a", None])))
    with pa.OSFile(str(tmp_path / "m.arrows")) as file:
        assert pa.ipc.open_stream(file).read_all().column("value").to_pylist() == ["a", None]


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.3, 0.7, 0.99, 0.999])
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Any, keep: float) -> None:
    path = tmp_path / "m.arrows"
    sealed.write(path, to_arrow(np.arange(1000.0)))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(RunError, match=r"m\.arrows is damaged.*\nhelp: delete it"):
        sealed.read(path)


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=100)
def test_a_changed_byte_is_refused(at: int, by: int) -> None:
    sink = pa.BufferOutputStream()
    sealed.pour(sink, to_arrow(np.arange(40.0)))
    data = bytearray(sink.getvalue().to_pybytes())
    data[at % len(data)] ^= by
    with pytest.raises(RunError, match="damaged"):
        sealed.opened(pa.py_buffer(bytes(data)), cast(Any, "x"), checked=True)


def test_what_is_no_column_is_refused() -> None:
    with pytest.raises(RunError, match="a Dense cannot be kept"):
        to_arrow(Dense(np.zeros((2, 2), np.float32)))
