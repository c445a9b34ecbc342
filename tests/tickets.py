"""A made-up help desk that the tests of escalation share: a cheap model that is right about easy tickets only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

import motet as mt
from motet.batch import Batch, Codes, Vocabulary
from motet.record import filled

NAMES = Vocabulary(pa.array(["bill", "card"], pa.large_string()))


class Ticket(mt.Event):
    at: mt.Time
    text: mt.Text = mt.default("")
    amount: mt.Number  # from 0 to 1: how hard it is to say from it what the ticket is about
    side: mt.Number  # the hidden truth, which only the strong model reads
    topic: mt.Category = mt.outcome()


class Said(mt.Record):
    label: mt.Category
    confidence: mt.Number


@dataclass(frozen=True)
class Guess(mt.Model):
    """Right about a ticket unless its amount is above `until`, and sure in proportion."""

    until: float = 0.6

    def __call__(self, amount: mt.Number, side: mt.Number, target: mt.Category) -> Said:
        return filled(Said, mt.column(mt.Column, self, held_against=target, amount=amount, side=side))

    def apply(self, state: mt.State, batch: Batch) -> dict[str, Any]:
        amount, side = np.asarray(batch["amount"]), np.asarray(batch["side"])
        wrong = amount > self.until
        return {"label": Codes(np.where(wrong, 1 - side, side).astype(np.int32), NAMES), "confidence": 1 - amount / 2}


@dataclass(frozen=True)
class Expert(mt.Model):
    """Always right, where it answers. rows: of every batch that it was asked about."""

    fails: bool = False
    silent_above: float = 2.0

    asked: ClassVar[list[int]] = []

    def __call__(self, amount: mt.Number, side: mt.Number, target: mt.Category) -> mt.Category:
        return mt.column(mt.Category, self, held_against=target, amount=amount, side=side)

    def apply(self, state: mt.State, batch: Batch) -> Codes:
        self.asked.append(batch.rows)
        if self.fails:
            raise mt.RunError("the expert is out")
        codes = np.where(np.asarray(batch["amount"]) > self.silent_above, -1, np.asarray(batch["side"]))
        return Codes(codes.astype(np.int32), NAMES)


guess = Guess()(Ticket.amount, Ticket.side, target=Ticket.topic)
expert = Expert()(Ticket.amount, Ticket.side, target=Ticket.topic)
topic = guess.label.escalate(expert, budget=0.2)
desk = mt.Graph(topic=topic)


def tickets(n: int = 1_000, seed: int = 0) -> mt.Data:
    """So many tickets, a minute apart."""
    draw = np.random.default_rng(seed)
    amounts, sides = draw.random(n), draw.integers(0, 2, n)
    rows = [
        {"at": 60 * i, "amount": float(amounts[i]), "side": float(sides[i]), "topic": ("bill", "card")[sides[i]]}
        for i in range(n)
    ]
    return mt.Data({Ticket: rows})


def data() -> mt.Data:
    return tickets()
