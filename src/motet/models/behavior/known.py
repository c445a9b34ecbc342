"""The entities that a state knows: by key, since rows come and go after the fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from motet.batch import Array, Vocabulary
from motet.model import State


def plain(keys: pa.Array) -> Any:
    """Keys as a State may hold them: an int64 array, or a list of texts."""
    return np.asarray(keys, np.int64) if pa.types.is_integer(keys.type) else keys.to_pylist()


def vocabulary(state: State) -> Vocabulary:
    """The keys of a state, ready to be searched. For `state.opened`."""
    keys = state["keys"]
    return Vocabulary(pa.array(keys, pa.int64() if isinstance(keys, np.ndarray) else pa.large_string()))


def places(state: State, keys: pa.Array) -> Array:
    """Where each entity is in the state, -1 where it is not: int32 [n]."""
    return state.opened(vocabulary).codes(keys)
