"""What every model's config has in common."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import dataclass
from typing import Any

import pytest

import motet as mt
from motet.model import Model
from tests.probe import Probe


@dataclass(frozen=True)
class Bare(Model):
    """A model without a config."""


MODELS: list[Any] = [mt.SASRec, mt.LightGBM, mt.Popular, mt.BM25, mt.TFIDF, mt.Extract, mt.Write, Probe, Bare]


@pytest.mark.parametrize("model", MODELS)
def test_a_field_that_does_not_exist_is_refused_with_those_that_do(model: Any) -> None:
    with pytest.raises(mt.GraphError, match=rf"{model.__name__} has no 'xyzzy'; there are: ") as raised:
        model(xyzzy=1)
    assert all(field.name in str(raised.value) for field in dataclasses.fields(model))
    assert raised.value.help.startswith(f"{model.__name__}(")


def test_the_field_that_was_meant_is_shown() -> None:
    made: Any = mt.LightGBM
    with pytest.raises(mt.GraphError, match=r"LightGBM has no 'tree'; did you mean 'trees'\?") as raised:
        made(tree=3)
    assert raised.value.help == "LightGBM(trees=300)"


def test_more_values_than_fields_are_refused() -> None:
    made: Any = mt.TFIDF
    with pytest.raises(mt.GraphError, match="TFIDF cannot be made so: too many positional arguments; there are: dim"):
        made(8, 9)


def test_a_config_can_be_copied_changed_and_sent_to_another_process() -> None:
    probe = Probe("p", fails=True)
    assert copy.deepcopy(probe) == pickle.loads(pickle.dumps(probe)) == probe
    assert dataclasses.replace(probe, fails=False) == Probe("p")
