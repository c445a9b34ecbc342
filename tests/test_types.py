"""The films example is clean under the strict type checker, and ill-typed graphs are not."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent / "types"


def test_every_ill_typed_line_is_refused_and_no_other() -> None:
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--project", str(HERE / "pyrightconfig.json")]
    done = subprocess.run([*command, "--pythonpath", sys.executable], capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == 2
    refused = {(Path(each["file"]).name, each["range"]["start"]["line"]) for each in found["generalDiagnostics"]}
    lines = (HERE / "wrong.py").read_text().splitlines()
    assert refused == {("wrong.py", i) for i, line in enumerate(lines) if "# refused" in line}
