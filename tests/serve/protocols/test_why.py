"""Why an answer holds its items, over HTTP."""

from collections.abc import Iterator

import pytest

from tests.serve.served import Served, prepared, served

ASK = {"buyer": "b3", "amount": 3.0, "search": "tea", "at": 2_000_000}


@pytest.fixture(scope="module")
def shop_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(prepared(tmp_path_factory.mktemp("store"))) as running:
        yield running


def test_it_is_told_for_the_items_of_the_same_ask(shop_server: Served) -> None:
    answered = shop_server.call("POST", "/v1/ask", ASK).json
    told = shop_server.call("POST", "/v1/why", ASK).json
    assert told["version"] == answered["version"]
    assert [item["item_id"] for item in told["why"]["top"]] == [item["item_id"] for item in answered["answer"]["top"]]
    assert all(place >= 1 for item in told["why"]["top"] for place in item["by"].values())
    assert any(item["by"] for item in told["why"]["top"])


def test_a_wrong_ask_is_refused(shop_server: Served) -> None:
    said = shop_server.call("POST", "/v1/why", {"buyer": "b3"})
    assert said.status == 422
    assert "Purchase.amount is not given" in said.json["detail"]
    assert shop_server.call("POST", "/v1/why", "[").status == 400
