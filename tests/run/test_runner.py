"""Who does the models' work, and what is said when one fails."""

from pathlib import Path

import pytest

import motet as mt
from tests.probe import Probe
from tests.shop import Purchase, shop


def test_a_model_that_fails_is_named_with_the_line_of_its_file(tmp_path: Path) -> None:
    broken = Probe("broken", fails=True)(Purchase.amount, at=Purchase.at, target=Purchase.stars)
    with pytest.raises(mt.RunError, match=r"failed: ValueError: the probe fails") as raised:
        mt.Graph(broken=broken).fit(shop(), store=tmp_path, quiet=True)
    file, _, line = raised.value.help.removeprefix("look at ").rpartition(":")
    assert "the probe fails" in Path(file).read_text().splitlines()[int(line) - 1]
