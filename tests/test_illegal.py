"""Every file in tests/illegal builds a graph that cannot mean anything; its first lines are what must be said."""

import ast
import runpy
import traceback
from pathlib import Path

import pytest

CASES = sorted(p for p in (Path(__file__).parent / "illegal").glob("*.py") if p.stem != "records")


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.stem)
def test_an_illegal_graph_fails_at_its_last_statement_and_says_why(case: Path) -> None:
    tree = ast.parse(case.read_text())
    said = ast.get_docstring(tree)
    assert said, "the file starts with the message that it must give"
    with pytest.raises(TypeError) as raised:
        runpy.run_path(str(case))
    for line in said.splitlines():
        assert line in str(raised.value)
    frames = traceback.extract_tb(raised.value.__traceback__)
    failed = [frame.lineno or 0 for frame in frames if frame.filename == str(case)]
    last = tree.body[-1]
    assert failed
    assert last.lineno <= failed[0] <= (last.end_lineno or last.lineno)
