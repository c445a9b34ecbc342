"""The examples are clean under the strict type checker, and ill-typed graphs are not."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

WRONG = Path(__file__).parent / "types" / "wrong.py"
ROOT = Path(__file__).parent.parent


def errors(file: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "basedpyright", "--outputjson", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)["generalDiagnostics"]
    return [each for each in found if each["rule"] != "reportUnusedExpression"]


def test_every_ill_typed_line_is_refused_and_no_other() -> None:
    refused = {each["range"]["start"]["line"] for each in errors(WRONG)}
    lines = WRONG.read_text().splitlines()
    assert refused == {i for i, line in enumerate(lines) if "# refused" in line}


def test_the_films_example_is_clean() -> None:
    assert errors(ROOT / "examples" / "films" / "graph.py") == []
