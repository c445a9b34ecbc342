"""What a server counts, for Prometheus: requests, batches, the queue, models, versions.

Several workers count in files that all of them read, so that a scrape of any one gives the totals of all: prometheus
does so by itself where PROMETHEUS_MULTIPROC_DIR names a folder, which `motet serve --workers` sees to.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)

from motet import operators
from motet.apply import Apply, Fit
from motet.llm import LLM, llm_of
from motet.node import Column

if TYPE_CHECKING:
    from motet.outline import Outline
    from motet.serve.engine import Request
    from motet.serve.version import Running, Spent

disable_created_metrics()  # when a count began says nothing that its own first scrape does not
CONTENT = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)
SHARED = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The counts of one server. Every method may be called from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = self._counter("events", "events that are durable")
        self.shed = self._counter("shed", "asks refused because the queue was full")
        self.refused = self._counter("versions_refused", "versions that failed their dry run")
        self.switched = self._counter("versions_switched", "versions that took over")
        self.shadow_dropped = self._counter("shadow_dropped", "asks that the shadow was too busy for")
        self.shadow_failed = self._counter("shadow_failed", "asks that the shadow failed at")
        self.shadow_equal = self._counter("shadow_equal", "asks where the shadow's best items were ours")
        self.shadow_asks = self._counter("shadow_asks", "asks that the shadow answered too")
        self.shadow_seconds = self._counter("shadow_seconds", "seconds that the shadow took for them")
        self.shadow_ours = self._counter("shadow_current_seconds", "seconds that the current version took for them")
        self._requests = self._counter("requests", "requests by endpoint and status", "endpoint", "status")
        self._seconds = self._histogram("request_seconds", "from a request's first byte to its last", SECONDS)
        self._batches = self._histogram("batch_size", "asks in a batch", SIZES)
        self._answers = self._counter("answers", "asks that were answered, by version", "version")
        self._failed = self._counter("failed", "asks that got an error, or nothing in time, by version", "version")
        self._waiting = self._gauge("queue_length", "asks that wait")
        self._bytes = self._gauge("queue_bytes", "bytes of the asks that wait")
        models = {"calls": "calls", "seconds": "seconds of its calls", "rows": "rows it answered"}
        models |= {"fallbacks": "requests that something else answered", "cache_hits": "rows that were known already"}
        models |= {"spared": "requests that were not worth asking it about"}
        self._models = {name: self._counter(f"model_{name}", says, "model") for name, says in models.items()}
        self._model_tokens = self._counter("model_tokens", "tokens its calls read and wrote", "model", "direction")
        self._tokens = self._counter("llm_tokens", "tokens read and written, chats included", "llm", "direction")
        self._seen: dict[Hashable, int] = {}
        self._names: dict[str, str] = {}
        self._queue = 0, 0
        self._lock = threading.Lock()
        self._request = cache(self._requests.labels)
        self._answer, self._failure = cache(self._answers.labels), cache(self._failed.labels)
        self._model = {name: cache(counter.labels) for name, counter in self._models.items()}

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        self._request(endpoint, status).inc()
        self._seconds.observe(seconds)

    def answered(self, version: int) -> None:
        self._answer(version).inc()

    def failed(self, version: int) -> None:
        """An ask was taken and got no answer, although its client still waited."""
        self._failure(version).inc()

    def queue(self, waiting: int, size: int) -> None:
        """How many asks, and bytes of them, wait now."""
        if (waiting, size) != self._queue:
            self._queue = waiting, size
            self._waiting.set(waiting)
            self._bytes.set(size)

    def batch(self, batch: Sequence[Request]) -> None:
        """A batch is done."""
        self._batches.observe(len(batch))

    def ran(self, running: Running, *, answered: bool = True) -> None:
        """What the models did for a batch, which may have failed all the same."""
        outline = running.version.outline
        for spent in running.spent.read(later=partial(self._cost, outline)):
            self._cost(outline, spent)
        for column, _, rows in running.run.fell if answered else ():
            self._model["fallbacks"](outline.name(column)).inc(running.rows if rows is None else int(rows.sum()))
        for _, strong, rows in running.run.spared:
            self._model["spared"](outline.name(strong)).inc(int(rows.sum()))

    def _cost(self, outline: Outline, spent: Spent) -> None:
        called, cost = self._called(outline, spent.node), spent.cost
        if not called:
            return
        self._model["calls"](called).inc(cost.calls)
        self._model["seconds"](called).inc(cost.seconds)
        self._model["rows"](called).inc(cost.rows)
        if cost.tokens_in or cost.tokens_out:
            self._model_tokens.labels(called, "in").inc(cost.tokens_in)
            self._model_tokens.labels(called, "out").inc(cost.tokens_out)
        self._looked(called, spent.node)

    def _called(self, outline: Outline, node: Apply | Fit) -> str:
        """What the author calls a model's result; empty for arithmetic and the like, which nobody watches."""
        if node.fingerprint not in self._names:
            watched = type(node.model).__module__ != operators.__name__
            self._names[node.fingerprint] = outline.name(Column(node)) if watched else ""
        return self._names[node.fingerprint]

    def _looked(self, called: str, node: Apply | Fit) -> None:
        """What a model that others use too counts by itself: the difference to the last look."""
        remembered = getattr(node.model, "remembered", None)
        if remembered is not None:
            self._model["cache_hits"](called).inc(self._since(("hits", node.model), remembered.hits))
        if llm := llm_of(node.model):
            self.used(llm)

    def used(self, llm: LLM) -> None:
        """A language model may have been asked something."""
        usage = llm.open().usage
        self._tokens.labels(llm.model, "in").inc(self._since(("in", llm), usage.tokens_in))
        self._tokens.labels(llm.model, "out").inc(self._since(("out", llm), usage.tokens_out))

    def _since(self, what: Hashable, now: int) -> int:
        with self._lock:
            before = self._seen.get(what, 0)
            self._seen[what] = max(now, before)
        return max(0, now - before)

    def text(self) -> bytes:
        """All of it, as a scrape reads it."""
        if SHARED not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry)

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"motet_{name}", says, labels, registry=self.registry)

    def _gauge(self, name: str, says: str) -> Gauge:
        return Gauge(f"motet_{name}", says, registry=self.registry, multiprocess_mode="livesum")

    def _histogram(self, name: str, says: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"motet_{name}", says, registry=self.registry, buckets=buckets)
