"""Cost: what the work of a model took, measured. Costs add up, and divide into unit costs for the plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What some calls of one model took together.

    seconds: wall clock. cpu_seconds: processor time of this process.
    tokens_in, tokens_out: read and written by a language model. peak_bytes: resident memory that one of them added at
    most, as `motet.memory` says; None where nobody looked, as while somebody waits, or the system does not tell.
    gpu_seconds: of the GPUs of a language model's endpoint, where it says how many it has.
    """

    calls: int = 0
    rows: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    peak_bytes: int | None = None
    gpu_seconds: float = 0.0

    def times(self, factor: float) -> Cost:
        """What so many times the work would take."""
        return Cost(
            round(factor * self.calls),
            round(factor * self.rows),
            factor * self.seconds,
            factor * self.cpu_seconds,
            round(factor * self.tokens_in),
            round(factor * self.tokens_out),
            self.peak_bytes,
            factor * self.gpu_seconds,
        )

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.calls + other.calls,
            self.rows + other.rows,
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            max((peak for peak in (self.peak_bytes, other.peak_bytes) if peak is not None), default=None),
            self.gpu_seconds + other.gpu_seconds,
        )
