"""Fraud among card payments: what the card and the terminal did before, and a label that comes a week late.

The payments are SIMULATED (those of the Fraud Detection Handbook): their frauds follow three written rules.
"""

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

import motet as mt


class Card(mt.Entity):
    card_id: mt.Key


class Terminal(mt.Entity):
    terminal_id: mt.Key


class Payment(mt.Event):
    card: Card
    terminal: Terminal
    at: mt.Time
    amount: mt.Number
    fraud: mt.Flag = mt.outcome(after="7d")  # nobody knows it earlier, in training neither


@mt.function(mt.Flag)
def at_night(at: np.ndarray) -> np.ndarray:
    return at // 3_600_000_000 % 24 <= 6


@mt.function(mt.Flag)
def at_weekend(at: np.ndarray) -> np.ndarray:
    return (at // 86_400_000_000 + 3) % 7 >= 5  # 1970 began on a Thursday, which is day 3 of the week


SPANS = ("1d", "7d", "30d")
# A fraud is known after a week: what became known in the last day is at most eight days old.
LATE_SPANS = ("8d", "14d", "37d")

night, weekend = at_night(Payment.at), at_weekend(Payment.at)
paid = [mt.past(Payment.amount, by=Payment.card, within=span) for span in SPANS]
taken = [mt.past(Payment.amount, by=Payment.terminal, within=span) for span in SPANS]
frauds = [mt.past(Payment.fraud, by=Payment.terminal, within=span) for span in LATE_SPANS]

features = (
    Payment.amount,
    night,
    weekend,
    *(history.count() for history in (*paid, *taken)),
    *(history.mean() for history in (*paid, *frauds)),
)
logistic = mt.Logistic()(*features, target=Payment.fraud)
trees = mt.LightGBM("binary")(*features, target=Payment.fraud)
risk = trees.otherwise(logistic)

payments = mt.Graph(risk=risk)

unsuspected = mt.past(Payment.fraud, by=Payment.card, within="21d").sum() < 1
"""Cards of which no fraud is known: the ones that a bank has not blocked yet."""


def data() -> mt.Data:
    """Asks the payments from 25 July to 14 August 2018, with the five weeks before as their history."""
    folder = os.environ.get("MOTET_DATA")
    if not folder:
        raise mt.DataError("the simulated payments do not come with Motet", help="MOTET_DATA=FOLDER motet fit ...")
    rows = pl.scan_parquet(Path(folder) / "fraud-card-simulated" / "transactions.parquet").filter(
        pl.col("tx_datetime").is_between(datetime(2018, 6, 17), datetime(2018, 8, 15), closed="left")
    )
    names = {
        "card": "customer_id",
        "terminal": "terminal_id",
        "at": "tx_datetime",
        "amount": "tx_amount",
        "fraud": "tx_fraud",
    }
    _, asked = mt.Data({Payment: mt.read(rows, **names)}).split(at="2018-07-25")
    return asked
