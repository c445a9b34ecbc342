"""Facts stand in for what nobody wrote."""

from __future__ import annotations

import motet as mt
from tests.shop import Item, asked_batch, shop
from tests.test_candidates import taste


def test_a_sentence_of_facts_for_each_candidate() -> None:
    run = asked_batch(shop(names={3: "<b>tea</b>"}))
    found = mt.retrieve(Item, k=2, by=[taste])
    said = run.value(mt.Template()(found)).to_pylist()
    pairs = run.value(found)
    for row, text in enumerate(said):
        items = pairs.items[pairs.offsets[row] : pairs.offsets[row + 1]].tolist()
        names = ["<b>tea</b>" if i == 3 else f"{['tea', 'cup', 'pot'][i % 3]} number {i}" for i in items]
        kinds = [["tea", "cup", "pot"][i % 3] for i in items]
        facts = zip(names, items, kinds, strict=True)
        assert text == " ".join(f"{name}: {i + 1}, {kind}." for name, i, kind in facts)


def test_nothing_found_is_nothing_said() -> None:
    run = asked_batch(shop())
    assert run.value(mt.Template()(mt.retrieve(Item, k=2, by=[taste], where=Item.price > 99)))[0].as_py() == ""
