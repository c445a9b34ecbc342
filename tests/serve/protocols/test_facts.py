"""What is told of a served graph is what the graph, its store and its log say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import motet as mt
from motet import loading
from motet.fitted import Fitted, published
from motet.serve.log import Log
from motet.serve.log_sqlite import SqliteJournal
from tests.serve.served import NAME, Served, goods, prepared, served
from tests.shop import Item, Purchase


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def running(fitted: Fitted) -> Iterator[Served]:
    with served(fitted, log=Log(SqliteJournal(fitted.store.root / "events.sqlite"))) as server:
        yield server


def test_the_graph_is_its_plan_and_says_how_its_outputs_come_about(running: Served) -> None:
    found = running.call("GET", "/v1/graph").json
    plan = goods.plan(running.fitted.data, store=running.fitted.store.root)
    assert [line["column"] for line in found["columns"]] == [line.column for line in plan.lines]
    assert (found["name"], found["version"], found["events"]) == (NAME, 1, True)
    outputs = {one["name"]: one for one in found["outputs"]}
    assert (outputs["top"]["entity"], outputs["top"]["key"]) == ("Item", "item_id")
    (step,) = outputs["top"]["steps"]
    assert step["does"] == "found"
    assert len(step["by"]) == 2
    assert found["places"] == [{"name": "chosen", "column": "found", "strong": "found", "cheap": "popular"}]
    assert set(step["by"]) <= set(found["called"])
    assert {found["called"][by] for by in step["by"]} == {
        "ALS of seen, Purchase.buyer and Purchase.item",
        "BM25 of Item.name and Purchase.search",
    }


def test_outcomes_say_what_they_refer_to_and_what_a_liking_viewer_says(running: Served) -> None:
    outcomes = {one["name"]: one for one in running.call("GET", "/v1/graph").json["event"]["outcomes"]}
    assert outcomes["item"]["entity"] == "Item"
    assert outcomes["stars"]["high"] == 5.0
    ask = running.call("GET", "/openapi.json").json["paths"]["/v1/ask"]["post"]["requestBody"]
    fields = ask["content"]["application/json"]["schema"]["properties"]
    assert {name: field.get("x-entity") for name, field in fields.items() if "x-entity" in field} == {"buyer": "Buyer"}


def test_where_a_language_model_answers_is_told_to_nobody(tmp_path: Path) -> None:
    top = mt.retrieve(Item, k=2, by=[mt.BM25()(Item.name, Purchase.search)])
    write = mt.Write(mt.LLM("tiny", url="http://inside:99/v1", retries=0), "About {items}.")
    graph = mt.Graph(top=top, reply=write(items=top).within(seconds=1, otherwise=""))
    with served(prepared(tmp_path, graph)) as server:
        for path in ("/v1/graph", "/v1/landscape"):
            said = server.call("GET", path).body
            assert b"Write(tiny" in said
            assert b"inside" not in said


def test_items_are_told_by_key_with_their_fields(running: Served) -> None:
    said = running.call("GET", "/v1/items/Item?key=3&key=nothing&key=99&key=1").json["items"]
    assert said == [
        {"item_id": 3, "name": "tea number 3", "price": 4.0, "kind": "tea"},
        {"item_id": 1, "name": "cup number 1", "price": 2.0, "kind": "cup"},
    ]
    assert running.call("GET", "/v1/items/Item").json["items"] == []
    for hidden in ("Buyer?key=b1", "Purchase?key=1"):
        unknown = running.call("GET", f"/v1/items/{hidden}")
        assert unknown.status == 404
        assert "there are: Item" in unknown.json["help"]
    many = "&".join(f"key={i}" for i in range(101))
    assert running.call("GET", f"/v1/items/Item?{many}").status == 422


def test_the_landscape_marks_what_the_graph_uses_with_what_it_took(running: Served) -> None:
    models = {one["model"]: one for one in running.call("GET", "/v1/landscape").json["models"]}
    assert set(models) == {row["model"] for row in loading.models()}
    assert {name for name, one in models.items() if one["used"]} == {"ALS", "BM25", "Popular"}
    assert all(use["fit"] > 0 for use in models["ALS"]["used"])
    assert models["Popular"]["used"][0]["column"] == "popular"
    assert models["DCN"]["measured"]["cpu_seconds"] > 0


def test_the_landscape_says_which_optional_place_a_model_works_for(tmp_path: Path) -> None:
    taste, named = mt.ALS()(mt.past(Purchase.item, by=Purchase.buyer), Item), mt.BM25()(Item.name, Purchase.search)
    popular = mt.Popular()(Purchase.item)
    found = mt.retrieve(Item, k=5, by=[taste, named]).otherwise(popular)
    score = mt.LightGBM("lambdarank")(found, taste, popular, target=Purchase.stars >= 4).otherwise(found)
    with served(prepared(tmp_path, mt.Graph(top=score.top(3)))) as server:
        models = {one["model"]: one["used"] for one in server.call("GET", "/v1/landscape").json["models"]}
    assert {use["place"] for use in models["BM25"]} == {"found"}
    assert {use["place"] for use in models["ALS"]} == {None}, "two places read it"
    assert {use["place"] for use in models["LightGBM"]} == {"score"}
    assert {use["place"] for use in models["Popular"]} == {None}, "it answers instead"


def test_a_column_whose_texts_are_all_empty_is_not_said_to_cost_nothing(running: Served) -> None:
    (use,) = (
        use
        for one in running.call("GET", "/v1/landscape").json["models"]
        for use in one["used"]
        if one["model"] == "BM25" and use["column"] != "Indexed(1.2, b=0.75)()"
    )
    assert (use["seconds"], use["silent"]) == (None, True)


def test_versions_tell_what_is_prepared_and_what_has_happened_since(tmp_path: Path) -> None:
    fitted = prepared(tmp_path)
    with served(fitted, log=Log(SqliteJournal(tmp_path / "events.sqlite"))) as server:
        found = server.call("GET", "/v1/versions").json
        assert (found["answers"], found["published"], found["seen"], found["returns"]) == (1, 1, 0, None)
        assert found["data"] == {"Item": 12, "Buyer": 20, "Purchase": 400}
        assert {"column": "popular", "rows": 12, "missing": {}} in found["prepared"]
        happened = {"buyer": "b5", "amount": 1.0, "item": 3, "stars": 5.0}
        assert server.call("POST", "/v1/events", happened).status == 201
        assert server.ask(buyer="b5", amount=1.0).status == 200
        assert server.call("GET", "/v1/versions").json["seen"] == 1


def test_a_damaged_version_is_told_beside_those_that_can_be_read(tmp_path: Path) -> None:
    with served(prepared(tmp_path)) as server:
        assert server.call("GET", "/v1/versions").json["damaged"] == []
        for damaged in (2, 1):
            (tmp_path / "versions" / NAME / f"{damaged}.json").write_text('{"when": 1')
            found = server.call("GET", "/v1/versions")
            assert found.status == 200
            there = [each["number"] for each in found.json["versions"]]
            assert (there, found.json["damaged"]) == ([1], [2]) if damaged == 2 else ([], [1, 2])
            assert {"column": "popular", "rows": 12, "missing": {}} in found.json["prepared"]


def test_returns_are_those_that_were_kept_last_and_say_whether_they_are_of_this_graph(tmp_path: Path) -> None:
    fitted = prepared(tmp_path)
    with served(fitted) as server:
        none = server.call("GET", "/v1/returns")
        assert (none.status, none.json["returns"]) == (200, None)
        assert "motet returns FILE.py:GRAPH" in none.json["help"]
        fitted.store.keep_report(NAME, 1, "returns", {"n": 7})
        found = server.call("GET", "/v1/returns").json
        assert (found["version"], found["same"], found["returns"]) == (1, True, {"n": 7})
        assert found["help"] == none.json["help"]
    other = mt.Graph(spent=mt.past(Purchase.amount, by=Purchase.buyer).sum())
    prepared(tmp_path, other)
    with served(published(other, name=NAME, store=tmp_path, quiet=True)) as server:
        found = server.call("GET", "/v1/returns").json
        assert (found["version"], found["same"]) == (1, False)
        assert server.call("GET", "/v1/versions").json["returns"] == 1
