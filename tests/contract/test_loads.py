"""What a model loads once a process is in no cost of its: a fresh process says what it loads while it is metered."""

import subprocess
import sys
from pathlib import Path

FRESH = """
import sys
import motet as mt
from motet import clock
from tests.shop import Item, Purchase, shop

class Watch:
    def find_spec(self, name, path=None, target=None):
        before = clock.wall()
        if name in LARGE and clock.wall() > before:
            print(name)

LARGE = {"bm25s", "implicit", "lightgbm", "onnxruntime", "scipy", "sklearn", "tokenizers", "torch", "torch._dynamo"}
assert not LARGE & set(sys.modules), LARGE & set(sys.modules)
sys.meta_path.insert(0, Watch())
seen = mt.past(Purchase.item, by=Purchase.buyer)
embed, good = mt.Embed(), Purchase.stars >= 4
meaning = embed(Item.name) @ embed(Purchase.search)
by = [mt.ALS()(seen, Item), mt.BM25()(Item.name, Purchase.search), mt.SASRec(epochs=1)(seen, Item), meaning]
for score in (*by, mt.ItemKNN()(seen, Item)):
    mt.Graph(top=mt.retrieve(Item, k=3, by=[score])).fit(shop(), store=sys.argv[1], quiet=True).evaluate(shop())
for model in (mt.Logistic(), mt.LightGBM(), mt.DCN(epochs=1)):
    mt.Graph(good=model(Purchase.amount, target=good)).fit(shop(), store=sys.argv[1], quiet=True).evaluate(shop())
assert LARGE <= set(sys.modules), LARGE - set(sys.modules)
"""


def test_no_model_is_metered_while_it_loads_a_library(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", FRESH, str(tmp_path)], capture_output=True, text=True)
    assert (run.stdout, run.returncode) == ("", 0), run.stderr
