"""OpenTelemetry traces: a span per request and, inside it, one per model. Nothing is imported unless they go somewhere.

They go where the standard variables say: OTEL_EXPORTER_OTLP_ENDPOINT and what else OpenTelemetry reads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Any

from motet.errors import RunError
from motet.node import Column
from motet.serve.version import Running

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SPAN: ContextVar[Any] = ContextVar("span", default=None)
"""The span of the request that is being handled, None where nothing is traced."""

Headers = Sequence[tuple[bytes, bytes]]


class Traces:
    """Spans of one process. exporter: where they go, else where the variables say."""

    def __init__(self, name: str, exporter: Any = None) -> None:
        try:
            from opentelemetry import propagate, trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise RunError(
                f"{ENDPOINTS[0]} is set, and OpenTelemetry is not installed: {error}",
                help="pip install 'motet[traces]', or unset it",
            ) from None
        service = os.environ.get("OTEL_SERVICE_NAME", f"motet-{name}")
        self._provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("motet")
        self._extract, self._trace = propagate.extract, trace

    @staticmethod
    def wanted(name: str) -> Traces | None:
        return Traces(name) if any(os.environ.get(variable) for variable in ENDPOINTS) else None

    def begin(self, method: str, headers: Headers) -> Any:
        """The span of a request that arrives, part of the trace that the client says."""
        carrier = {key.decode("latin-1"): value.decode("latin-1") for key, value in headers}
        kind = self._trace.SpanKind.SERVER
        return self._tracer.start_span(method, self._extract(carrier), kind, {"http.request.method": method})

    def end(self, span: Any, method: str, route: str, status: int) -> None:
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()

    def ran(self, running: Running, spans: Iterable[Any]) -> None:
        """The models that ran for a batch, in the trace of each request of it."""
        for parent in spans:
            if parent is None or not parent.get_span_context().trace_flags.sampled:
                continue
            inside = self._trace.set_span_in_context(parent)
            for spent in running.spent.read():
                name = running.version.outline.name(Column(spent.node))
                about = {"motet.rows": spent.cost.rows, "motet.batch": running.rows}
                about["motet.version"] = running.version.number
                ended = int(spent.ended * 1e9)
                span = self._tracer.start_span(
                    name, inside, attributes=about, start_time=ended - int(spent.cost.seconds * 1e9)
                )
                span.end(ended)

    def close(self) -> None:
        """Sends what was not sent yet."""
        self._provider.shutdown()
