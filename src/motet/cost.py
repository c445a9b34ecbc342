"""Cost: what applying a model took, measured. Costs add up, and divide into unit costs for the plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What some calls of one model took together.

    seconds: wall clock. cpu_seconds: processor time of this process.
    tokens_in, tokens_out: read and written by a language model.
    """

    calls: int = 0
    rows: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0

    def times(self, factor: float) -> Cost:
        """What so many times the work would take."""
        return Cost(
            round(factor * self.calls),
            round(factor * self.rows),
            factor * self.seconds,
            factor * self.cpu_seconds,
            round(factor * self.tokens_in),
            round(factor * self.tokens_out),
        )

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.calls + other.calls,
            self.rows + other.rows,
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
        )
