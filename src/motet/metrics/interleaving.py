"""Two rankings in one list: which of them do viewers choose from?

Every viewer compares both at once, so a preference is known from far fewer requests than an experiment needs
(Chapelle et al. 2012). It says which ranking is better, not by how much of anything.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from motet.errors import DataError
from motet.metrics.intervals import Groups, standard_error
from motet.metrics.sequential import PLANNED, Sequential, sequential

Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True)
class Draft(Generic[Item]):
    """What is shown, best first, and whether each item is ours: what to log beside the clicks."""

    items: list[Item]
    ours: list[bool]


def draft(ours: Sequence[Item], theirs: Sequence[Item], k: int, random: np.random.Generator) -> Draft[Item]:
    """Team-draft interleaving: by turns each ranking adds its best item that is not there yet.

    Who has added fewer items goes next, and a coin decides where both have added as many; so a viewer who clicks at
    random clicks either's as often. Where one has no more items the other goes on. At most k items.
    Source: Radlinski et al. 2008.
    """
    if k < 1:
        raise DataError(f"a list of {k} items shows nothing", help="k=10")
    shown: dict[Item, bool] = {}
    left = {True: iter(ours), False: iter(theirs)}
    turns: list[bool] = []
    while len(shown) < k and left:
        if not turns:
            turns = [True, False] if random.random() < 0.5 else [False, True]
        team = turns.pop(0)
        item = next((item for item in left.get(team, ()) if item not in shown), None)
        if item is None:
            left.pop(team, None)
        else:
            shown[item] = team
    return Draft(list(shown), list(shown.values()))


def credit(ours: Sequence[bool], clicked: Sequence[bool]) -> int:
    """Whom a request speaks for: 1 where more of ours were clicked, -1 where more of theirs, 0 where neither."""
    if len(ours) != len(clicked):
        raise DataError(f"{len(ours)} items have {len(clicked)} clicks", help="whether it was clicked, for each item")
    lead = sum(1 if mine else -1 for mine, click in zip(ours, clicked, strict=True) if click)
    return (lead > 0) - (lead < 0)


def preference(credits: NDArray[Any], groups: Groups | None = None, planned: int = PLANNED) -> Sequential:
    """The share of requests that ours won less the share that it lost, from -1 to 1; 0 where neither is preferred.

    credits: [n], what `credit` says of each request, those without clicks too. groups: [n], equal where requests
    depend on each other. planned: the requests that were planned, whatever was seen.
    """
    if not np.isin(credits, (-1, 0, 1)).all():
        row = int((~np.isin(credits, (-1, 0, 1))).argmax())
        raise DataError(f"the credit of row {row} is {credits[row]}", help="1, 0 or -1: credit(ours, clicked)")
    if len(credits) == 0:
        raise DataError("no request was interleaved", help="draft(ours, theirs, k, random), then log clicks")
    error, units = standard_error(credits, groups)
    return sequential(float(credits.mean()), error, len(credits), units, planned)
