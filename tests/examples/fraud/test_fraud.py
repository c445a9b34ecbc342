"""The payments end to end: frauds are found, and none is known before its week is over."""

from pathlib import Path

import numpy as np
import pytest

import motet as mt
from examples.fraud.graph import Payment, data, frauds, payments
from examples.fraud.report import DAY, TESTED_FROM, card_precision
from motet.evaluation import Predicted
from tests.shop import asked, stored


@pytest.fixture(scope="module")
def parts(data_dir: Path) -> tuple[mt.Data, mt.Data]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTET_DATA", str(data_dir))
        return data().split(at=TESTED_FROM)


@pytest.fixture(scope="module")
def fitted(parts: tuple[mt.Data, mt.Data], tmp_path_factory: pytest.TempPathFactory) -> mt.Fitted:
    return payments.fit(parts[0], store=tmp_path_factory.mktemp("store"), quiet=True)


def test_frauds_are_found(fitted: mt.Fitted, parts: tuple[mt.Data, mt.Data]) -> None:
    found = fitted.evaluate(parts[1].split(at="2018-08-10")[0])
    auc = found.figure("risk", "AUC")
    assert auc.low is not None
    assert auc.low > 0.8
    precision = found.figure("risk", "average precision")
    share = np.mean(stored(parts[1], Payment, "fraud"))
    assert precision.low is not None
    assert precision.low > 20 * share
    assert not found.problems, "the trees answered, not what they fall back on"


def test_the_riskiest_cards_of_a_day_are_defrauded_far_more_often(
    fitted: mt.Fitted, parts: tuple[mt.Data, mt.Data]
) -> None:
    test = parts[1].split(at="2018-08-10")[0]
    risk = fitted.evaluate(test).measured["risk"]
    assert isinstance(risk, Predicted)
    assert risk.groups is not None
    everybody = card_precision(risk, test, checked=len(np.unique(risk.groups)))
    assert card_precision(risk, test) > 5 * everybody


def test_only_frauds_that_were_known_when_the_data_end_are_learnt_from(
    fitted: mt.Fitted, parts: tuple[mt.Data, mt.Data]
) -> None:
    times = stored(parts[0], Payment, "at")[parts[0].asked[Payment]]
    until = parts[0].until
    assert until is not None
    arrived = int((times + 7 * DAY < until).sum())
    assert 0 < arrived < len(times)
    abouts = [fitted.store.about(name) for name in fitted.states.names.values()]
    assert [about["rows"] for about in abouts if about] == [arrived, arrived]


def test_a_terminal_s_fraud_is_not_seen_before_its_week_is_over(parts: tuple[mt.Data, mt.Data]) -> None:
    test = parts[1].split(at="2018-08-09")[0]
    rows = test.asked[Payment][::97]
    seen = asked(frauds[-1].sum(), test, Payment)[::97]
    times, terminal = stored(test, Payment, "at"), stored(test, Payment, "terminal").codes
    came = stored(test, Payment, "fraud")

    def in_between(row: int, oldest: int, latest: int) -> float:
        age = times[row] - times
        return came[(terminal == terminal[row]) & (age > latest * DAY) & (age <= oldest * DAY)].sum()

    known = [in_between(row, 37, 7) for row in rows]
    assert seen.tolist() == known
    assert known != [in_between(row, 37, 0) for row in rows], "no fraud is recent: the test tells nothing"


def test_a_payment_that_arrives_now_is_answered(fitted: mt.Fitted) -> None:
    calm, wild = fitted.ask_many(
        [
            {"card": 1, "terminal": 1, "at": "2018-08-08T12:00:00", "amount": 20.0},
            {"card": 1, "terminal": 1, "at": "2018-08-08T12:00:00", "amount": 900.0},
        ]
    )
    assert 0 <= calm["risk"] < wild["risk"] <= 1
