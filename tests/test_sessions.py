"""A model whose tensors are mapped says what its own file says, and its runtime tells nobody."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from motet import sessions
from motet.errors import GraphError


def table(folder: Path, rows: int) -> Path:
    """A file that looks rows of 64 numbers up."""
    held = numpy_helper.from_array(np.arange(rows * 64, dtype=np.float32).reshape(rows, 64), "held")
    given = helper.make_tensor_value_info("row", TensorProto.INT64, ["n"])
    made = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 64])
    graph = helper.make_graph([helper.make_node("Gather", ["held", "row"], ["out"])], "g", [given], [made], [held])
    file = folder / "table.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(file))
    return file


def looked_up(file: Path, row: int) -> float:
    return sessions.opened(str(file)).run(None, {"row": np.array([row])})[0][0, 0]


def test_a_large_file_is_copied_once_with_its_tensors_beside_it(tmp_path: Path) -> None:
    file = table(tmp_path, 10_000)
    copy = sessions.mapped(file, "d" * 64, tmp_path / "built")
    assert copy.parent == tmp_path / "built"
    assert copy.stat().st_size < 1_000
    assert copy.with_suffix(".tensors").stat().st_size == 10_000 * 64 * 4
    assert looked_up(copy, 9_999) == looked_up(file, 9_999) == 9_999 * 64
    file.unlink()
    assert sessions.mapped(file, "d" * 64, tmp_path / "built") == copy


def test_a_small_file_is_opened_as_it_is(tmp_path: Path) -> None:
    file = table(tmp_path, 10)
    assert sessions.mapped(file, "d" * 64, tmp_path / "built") == file
    assert not (tmp_path / "built").exists()


def test_where_no_copy_can_be_kept_the_file_itself_is_opened(tmp_path: Path) -> None:
    file = table(tmp_path, 10_000)
    (tmp_path / "built").write_text("no folder")
    assert sessions.mapped(file, "d" * 64, tmp_path / "built") == file


def test_half_a_file_is_refused_by_its_name_however_large_it_is(tmp_path: Path) -> None:
    for rows in (10, 10_000):
        file = table(tmp_path, rows)
        file.write_bytes(file.read_bytes()[:-100])
        with pytest.raises(GraphError, match=r"table\.onnx is no ONNX model that can run") as refused:
            sessions.of_file(file, "d" * 64, tmp_path / "built")
        assert "ONNXRuntimeError" not in str(refused.value)


COUNT = """
import os
from motet import sessions
before = len(os.listdir("/proc/self/task"))
sessions.opened({file!r})
print(len(os.listdir("/proc/self/task")) - before)
"""


def test_opening_one_starts_no_thread(tmp_path: Path) -> None:
    """onnxruntime reports to its maker out of a thread of its own, unless it is told not to before it is loaded."""
    code = COUNT.format(file=str(table(tmp_path, 10)))
    said = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "0"
