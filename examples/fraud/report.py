"""Fits the payments and says how well frauds are found: `python -m examples.fraud.report`.

The protocol is the Fraud Detection Handbook's: a week to learn from, a week until its frauds are known, a
week to test on. All payments are SIMULATED.
"""

from typing import Any

import numpy as np

import motet as mt
from examples.fraud.graph import Payment, data, payments, unsuspected
from motet.evaluation import Predicted

TESTED_FROM = "2018-08-08"
DAY = 86_400_000_000
CHECKED = 100  # cards that investigators can look at in a day


def main() -> None:
    train, test = data().split(at=TESTED_FROM)
    fitted = payments.fit(train)
    found = fitted.evaluate(test)
    print(f"all payments\n{found}")
    print(f"payments of cards of which no fraud is known\n{fitted.evaluate(test, relevant=unsuspected)}")
    risk = found.measured["risk"]
    assert isinstance(risk, Predicted)
    print(f"card precision@{CHECKED}: {card_precision(risk, test):.3f} (mean of the days)\n")
    print("what the trees return over the logistic regression: a caught fraud saves its amount, a false alarm costs 5")
    print(fitted.returns(test, mt.Worth(caught=Payment.amount, false_alarm=-5.0), mt.Prices(cpu_hour=0.04)))


def card_precision(risk: Predicted, test: mt.Data, checked: int = CHECKED) -> float:
    """The share of defrauded cards among the `checked` riskiest of each day, averaged over the days."""
    times: Any = test.tables[Payment].columns["at"]
    days = times[test.asked[Payment]] // DAY
    return float(np.mean([_of_one_day(risk, days == day, checked) for day in np.unique(days)]))


def _of_one_day(risk: Predicted, rows: np.ndarray[Any, Any], checked: int) -> float:
    assert risk.groups is not None
    cards, card = np.unique(risk.groups[rows], return_inverse=True)
    score, fraud = np.zeros(len(cards)), np.zeros(len(cards))
    np.maximum.at(score, card, risk.predicted[rows])
    np.maximum.at(fraud, card, risk.outcome[rows])
    return float(fraud[np.argsort(-score, kind="stable")[:checked]].mean())


if __name__ == "__main__":
    main()
