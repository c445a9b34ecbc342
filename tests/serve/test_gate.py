"""Who is let in, what is counted and traced, and what no client may learn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import motet as mt
from motet.batch import Batch
from motet.errors import RunError
from motet.fitted import Fitted
from motet.model import Model, State
from motet.serve import trace
from motet.serve.keys import Keys
from motet.serve.trace import Traces
from tests.serve.served import NAME, Served, gated, prepared
from tests.shop import Purchase


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def keyed(fitted: Fitted) -> Iterator[Served]:
    with gated(fitted, Keys(["first-key", "second-key"])) as running:
        yield running


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic first-key"},
        {"Authorization": "first-key"},
        {"X-API-Key": "first-ke"},
        {"X-API-Key": ""},
    ],
)
def test_without_a_key_nothing_but_health_is_told(keyed: Served, headers: dict[str, str]) -> None:
    for path in ("/v1/ask", "/metrics", "/openapi.json", "/nothing", "/health/../v1/ask"):
        said = keyed.call("GET", path, headers=headers)
        if not path.startswith("/health/"):
            assert said.status == 401
            assert said.headers["www-authenticate"] == "Bearer"
            assert said.headers["content-type"] == "application/problem+json"
            assert "Authorization: Bearer KEY" in said.json["help"]
        else:
            assert said.status == 404
    for path in ("/v1/chat/completions", "/v1/models", "/v1/models/goods", "/v1/embeddings"):
        said = keyed.call("GET", path, headers=headers)
        assert (said.status, said.headers["content-type"]) == (401, "application/json")
        assert said.json["error"]["type"] == "authentication_error"
        assert "Authorization: Bearer KEY" in said.json["error"]["message"]
    for path in ("/v2", "/v2/models/found"):
        said = keyed.call("GET", path, headers=headers)
        assert (said.status, list(said.json)) == (401, ["error"])
        assert "Authorization: Bearer KEY" in said.json["error"]
    for path in ("/health/ready", "/v2/health/ready"):
        assert keyed.call("GET", path, headers=headers).status == 200


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer first-key"}, {"Authorization": "bearer second-key"}, {"X-API-Key": "second-key"}],
)
def test_any_of_the_keys_lets_in(keyed: Served, headers: dict[str, str]) -> None:
    assert keyed.ask(headers, buyer="b3", amount=3.0).status == 200


@pytest.mark.parametrize("text", ["", "\n# nothing but a remark\n"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(RunError, match="there is no key in"):
        Keys.read(tmp_path / "keys")
    with pytest.raises(RunError, match="cannot read the keys"):
        Keys.read(tmp_path / "absent")


def test_a_scrape_counts_requests_models_and_fallbacks_under_few_names(fitted: Fitted) -> None:
    with gated(fitted) as running:
        for i in range(3):
            assert running.ask(buyer=f"b{i}", amount=3.0).status == 200
        running.ask(buyer="nobody", amount=3.0)
        running.ask(buyer="b3")
        for i in range(5):
            running.call("GET", f"/made/up/{i}")
        said = running.call("GET", "/metrics")
    assert said.headers["content-type"].startswith("text/plain")
    lines = said.body.decode().splitlines()
    assert 'motet_requests_total{endpoint="/v1/ask",status="200"} 4.0' in lines
    assert 'motet_requests_total{endpoint="/v1/ask",status="422"} 1.0' in lines
    assert 'motet_requests_total{endpoint="other",status="404"} 5.0' in lines
    assert 'motet_answers_total{version="1"} 4.0' in lines
    assert "motet_batch_size_count 4.0" in lines
    assert "motet_queue_length 0.0" in lines
    assert "motet_queue_bytes 0.0" in lines
    assert any(line.startswith('motet_model_calls_total{model="BM25') and line.endswith(" 4.0") for line in lines)
    assert 'motet_model_fallbacks_total{model="found"} 1.0' in lines


def test_a_trace_has_the_request_and_inside_it_each_model(fitted: Fitted) -> None:
    exporter = InMemorySpanExporter()
    with gated(fitted, traces=Traces(NAME, exporter)) as running:
        parent = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        assert running.ask(parent, buyer="b3", amount=3.0).status == 200
    spans = exporter.get_finished_spans()
    request = next(span for span in spans if span.name == "POST /v1/ask")
    assert request.parent is not None
    assert f"{request.parent.span_id:x}" == "b7ad6b7169203331"
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 200
    models = [span for span in spans if span is not request]
    assert any(span.name.startswith("BM25") for span in models)
    for span in models:
        assert span.context is not None
        assert request.context is not None
        assert span.parent is not None
        assert span.parent.span_id == request.context.span_id
        assert span.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C


def test_nothing_is_traced_where_no_endpoint_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in trace.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert Traces.wanted(NAME) is None


@dataclass(frozen=True)
class Careless(Model):
    """Fails with a path in what it says, once the amount is large."""

    def __call__(self, number: mt.Number) -> mt.Number:
        return mt.column(mt.Number, self, number=number)

    def apply(self, state: State, batch: Batch) -> np.ndarray:
        if (batch["number"] > 100).any():
            raise FileNotFoundError("/home/someone/secrets/model.bin is gone")
        return batch["number"]


def test_what_a_model_says_of_its_files_stays_inside(tmp_path: Path) -> None:
    careless = mt.Graph(score=Careless()(Purchase.amount))
    with gated(prepared(tmp_path, careless)) as running:
        assert running.ask(buyer="b1", amount=3.0).status == 200
        said = running.ask(buyer="b1", amount=300.0)
        assert said.status == 503
        for secret in (b"/home", b"secrets", b"model.bin", b"Traceback", b".py", b"line "):
            assert secret not in said.body
        assert running.ask(buyer="b1", amount=3.0).status == 200


def test_a_failure_is_no_answer(tmp_path: Path) -> None:
    careless = mt.Graph(score=Careless()(Purchase.amount))
    with gated(prepared(tmp_path, careless)) as running:
        statuses = [running.ask(buyer="b1", amount=amount).status for amount in (3.0, 300.0, 4.0, 400.0, 500.0)]
        lines = running.call("GET", "/metrics").body.decode().splitlines()
    assert statuses == [200, 503, 200, 503, 503]
    assert 'motet_answers_total{version="1"} 2.0' in lines
    assert 'motet_failed_total{version="1"} 3.0' in lines
    assert "# HELP motet_answers_total asks that were answered, by version" in lines


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-origin", 200), ("same-site", 200), ("none", 200)]
)
def test_a_page_of_another_site_is_refused(fitted: Fitted, site: str, status: int) -> None:
    with gated(fitted) as running:
        headers = {"Sec-Fetch-Site": site, "Content-Type": "text/plain"}
        assert running.call("POST", "/v1/ask", {"buyer": "b3", "amount": 3.0}, headers).status == status
        assert running.call("GET", "/health/live", headers=headers).status == 200
